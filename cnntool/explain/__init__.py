"""What a trained network sees: its layers' maps and filters, what excites them, what decides.

* :mod:`subject`: a model opened, its layers and classes by name, scores and their gradients
* :mod:`activations`, :mod:`weights`: the maps of a picture, the filters of a layer
* :mod:`patches`: the parts of many pictures that excite a filter most
* :mod:`maximize`, :mod:`ascent`, :mod:`views`: pictures made to excite a class, map or neuron
* :mod:`saliency`, :mod:`gradcam`, :mod:`occlusion`: which pixels a score depends on
* :mod:`words`: the tables of methods and fills, for the command line

:mod:`words` and :mod:`ascent` load no NumPy.

Pictures go in as samples 0..255, (C, H, W), in the size and colour of the network's input, as
:class:`cnntool.predict.preprocess.Preprocessor` makes them. Scores are those before the softmax.
"""
