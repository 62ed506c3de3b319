"""The micro world: a generated bilingual corpus and the small base model pretrained on it."""
