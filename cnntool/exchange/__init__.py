"""Networks to and from other programs: ONNX, safetensors, state dicts of torch.

* :mod:`onnx_export`, :mod:`onnx_words`, :mod:`onnx_windows`, :mod:`onnx_writer`: a model as ONNX
* :mod:`protobuf_size`, :mod:`onnx_reading`: an ONNX file as plain data
* :mod:`onnx_translation`, :mod:`onnx_folding`, :mod:`onnx_layers` and the families that it names:
  its operators as layers; :mod:`structure`: ways that meet again as branches
* :mod:`onnx_import`, :mod:`importing`: all of it as a model, with what the user says besides
* :mod:`weight_files`, :mod:`weight_import`: arrays by name, written and read
* :mod:`onnx_run`, :mod:`comparison`: both sides computed, and how far they are apart

Nothing of a file is run: ONNX files describe networks of a closed list of operators, arrays are
numbers. What comes out is compared with what the other program computes before it is written.
"""
