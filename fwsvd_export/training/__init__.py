"""Fine-tuning through transformers' Trainer."""
