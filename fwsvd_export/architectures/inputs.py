"""The inputs of all families by name, and the labels that may stand beside them."""

# Input -> the field of ``tokenizers.Encoding`` that holds it
ENCODING_FIELDS = {"input_ids": "ids", "attention_mask": "attention_mask", "token_type_ids": "type_ids"}
LABEL_KEYS = frozenset({"labels", "start_positions", "end_positions", "next_sentence_label"})
