"""ONNX files made by hand, as other programs make them."""

import numpy as np
from onnx import TensorProto, helper, numpy_helper

FLOAT = TensorProto.FLOAT


def node(operator, inputs, outputs, **attributes):
    """An operator; its inputs and outputs are words in one text, - leaves one out."""
    names = [["" if word == "-" else word for word in text.split()] for text in (inputs, outputs)]
    return helper.make_node(operator, *names, name=f"{operator}_{names[1][0]}", **attributes)


def graph_file(
    nodes, arrays=(), shape=(3, 8, 6), *, output="y", opset=17, batch="N", kind=FLOAT, rank=None
):
    """The bytes of a file.

    Args:
        nodes: Operators; the input is called x, the output y.
        arrays: Constants by name.
        shape: Of the input, without the batch.
        output: The output's name.
        opset: Of the operators.
        batch: Size of the batch.
        kind: Type of the input.
        rank: Axes of the output; None leaves its shape out.
    """
    x = helper.make_tensor_value_info("x", kind, [batch, *shape])
    gives = kind if kind == TensorProto.FLOAT16 else FLOAT
    y = helper.make_tensor_value_info(output, gives, None if rank is None else [None] * rank)
    constants = [numpy_helper.from_array(np.asarray(a), name) for name, a in dict(arrays).items()]
    graph = helper.make_graph(list(nodes), "made", [x], [y], constants)
    model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", opset)])
    return model.SerializeToString()


def bare(data):
    """A file of ours without its texts: its operators alone tell the network."""
    import onnx

    model = onnx.load_model_from_string(data)
    del model.metadata_props[:]
    return model.SerializeToString()
