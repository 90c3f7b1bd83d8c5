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
from ._parameters import (DEFAULT_TRT_CONVERSION_PARAMS, ConversionParams, ProfileStrategy,
                          TrtConversionParams, TrtPrecisionMode)
from .converter import Converter
from .graphs import calib_graph_to_infer_graph, create_inference_graph

_library.load()

# As in TensorFlow's own integration.
TrtGraphConverterV2 = Converter

__all__ = ["DEFAULT_TRT_CONVERSION_PARAMS", "ConversionParams", "Converter", "ProfileStrategy",
           "TrtConversionParams", "TrtGraphConverterV2", "TrtPrecisionMode", "build_library",
           "calib_graph_to_infer_graph", "create_inference_graph", "engine_names", "statistics"]
