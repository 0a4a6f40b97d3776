"""Networks to and from other programs: ONNX, safetensors, state dicts of torch.

* :mod:`onnx_export`, :mod:`onnx_words`, :mod:`onnx_windows`, :mod:`onnx_writer`: a model as ONNX
* :mod:`onnx_import`, :mod:`onnx_reading`, :mod:`onnx_layers`, :mod:`structure`: ONNX as a model
* :mod:`weight_files`: arrays by name, written and read
* :mod:`onnx_run`, :mod:`comparison`: both sides computed, and how far they are apart

Nothing of a file is run: ONNX files describe networks of a closed list of operators, arrays are
numbers. What comes out is compared with what the other program computes before it is written.
"""
