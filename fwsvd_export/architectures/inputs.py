"""The inputs of all families by name."""

# Input -> the field of ``tokenizers.Encoding`` that holds it
ENCODING_FIELDS = {"input_ids": "ids", "attention_mask": "attention_mask", "token_type_ids": "type_ids"}
