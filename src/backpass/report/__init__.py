"""What a run looks like: figures, a health check in plain words, and an HTML report.

Importing this package imports NumPy only; matplotlib and Jinja2, the extra ``plots``, are imported when something is drawn.
"""

from __future__ import annotations

from .figures import (
    accuracy_curve,
    activation_histograms,
    augmented_samples,
    confusion_matrix,
    gradient_histograms,
    learning_rate,
    loss_curve,
    update_ratio,
    worst_mistakes,
)
from .health import Finding, health
from .html import require_plots, write_report
from .pictures import feature_maps, filter_grid, first_layer_weights, image_filters
from .record import Record, record_of

__all__ = [
    "Finding",
    "Record",
    "accuracy_curve",
    "activation_histograms",
    "augmented_samples",
    "confusion_matrix",
    "feature_maps",
    "filter_grid",
    "first_layer_weights",
    "gradient_histograms",
    "health",
    "image_filters",
    "learning_rate",
    "loss_curve",
    "record_of",
    "require_plots",
    "update_ratio",
    "worst_mistakes",
    "write_report",
]
