"""Sizes that make networks of other libraries small."""

SEGFORMER = {
    "depths": [1, 1, 1, 1],
    "hidden_sizes": [8, 16, 16, 16],
    "decoder_hidden_size": 16,
    "num_attention_heads": [1, 1, 2, 2],
}
