"""Facial emotions by a Vision Transformer: ViT-base of the Hugging Face Hub, and other sizes of the family."""
