"""Planish inside TensorFlow: SavedModels and frozen graphs whose segments run as Planish engines.

    import planish.tensorflow
    converter = planish.tensorflow.Converter(input_saved_model_dir="model")
    converter.convert()
    converter.save("converted")

A converted model is loaded with TensorFlow's own loaders, after this module has been imported: it
brings the operator that runs engines.
"""

from . import _library
from ._engines import engine_names, statistics
from ._library import build as build_library
from ._parameters import ConversionParams, ProfileStrategy, TrtPrecisionMode
from .converter import Converter
from .graphs import calib_graph_to_infer_graph, create_inference_graph

_library.load()

__all__ = ["ConversionParams", "Converter", "ProfileStrategy", "TrtPrecisionMode", "build_library",
           "calib_graph_to_infer_graph", "create_inference_graph", "engine_names", "statistics"]
