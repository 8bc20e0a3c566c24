"""The inputs of all families by name, and the labels that may stand beside them."""

IDS, MASK, TYPES, POSITIONS = "input_ids", "attention_mask", "token_type_ids", "position_ids"
# Input -> the field of ``tokenizers.Encoding`` that holds it
ENCODING_FIELDS = {IDS: "ids", MASK: "attention_mask", TYPES: "type_ids"}
LABEL_KEYS = frozenset({"labels", "start_positions", "end_positions", "next_sentence_label"})
IGNORED_LABEL = -100  # transformers' mark for positions without a label
