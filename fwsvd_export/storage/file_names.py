"""The names of the files in a checkpoint's folder."""

from __future__ import annotations

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
SHARDS_INDEX = "model.safetensors.index.json"
TOKENIZER_SETTINGS_FILE = "tokenizer_config.json"
# Copied into an output; whichever of them a checkpoint has.
TOKENIZER_FILES = (
    "tokenizer.json",
    TOKENIZER_SETTINGS_FILE,
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "sentencepiece.bpe.model",
    "spm.model",
    "chat_template.jinja",
)
# One of these holds the vocabulary; without it transformers 5 makes an empty tokenizer and says nothing.
VOCABULARY_FILES = {"tokenizer.json", "vocab.txt", "vocab.json", "sentencepiece.bpe.model", "spm.model"}
# What sentence-transformers has at the top of a folder; copied likewise. Its modules have folders named as 1_Pooling.
MODULES_FILE = "modules.json"
SENTENCE_FILES = (
    MODULES_FILE,
    "config_sentence_transformers.json",
    "sentence_bert_config.json",
    "sentence_roberta_config.json",  # from here on of older versions
    "sentence_distilbert_config.json",
    "sentence_camembert_config.json",
    "sentence_albert_config.json",
    "sentence_xlm-roberta_config.json",
    "sentence_xlnet_config.json",
)
MODULE_FOLDER = r"\d+_[A-Za-z]+"
CARD_FILE = "README.md"
COMPRESSION_FILE = "compression.json"
MEASUREMENTS_FILE = "measurements.json"
TRAINING_FILE = "training.json"
REPORT_FILE = "report.html"  # of ``report``; in the folder of a benchmark, a sweep or the demo

ONNX_FOLDER = "onnx"  # inside a checkpoint's folder; the names below are of files in it
ONNX_FILE = "model.onnx"
INT8_FILE = "model_quantized.onnx"
OPENVINO_INT8_FILE = "openvino_model.xml"  # a name that optimum-intel looks for
OPENVINO_INT8_WEIGHTS = "openvino_model.bin"
EXPORT_FILE = "export.json"
TOKENIZER_FILE = "tokenizer.json"  # the one that the tokenizers library reads
