"""From a trained global network to a person's device: personalizing, predicting, timing.

Each module imports what it needs itself: predicting begins without what training needs.
"""
