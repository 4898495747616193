"""The polyphone metric as a module of `evaluate`; see `h2p_hf.metrics` for the definitions."""

import datasets
import evaluate

from h2p_hf.metrics import pinyin_scores

_INPUTS = """
Args:
    predictions: for each text a list as long as it, with a syllable such as hang2 for each hanzi, None elsewhere.
    references: likewise; None where unlabelled.
    texts: the texts.
Returns:
    accuracy (by sample), accuracy_by_character, accuracy_by_reading, precision/recall/f1 with _macro/_micro/_weighted on
    polyphonic characters, hanzi_accuracy, sentence_accuracy (fractions 0-1), polyphones, hanzi, sentences (counts).
"""


class Polyphone(evaluate.Metric):
    """Accuracy, precision, recall and F1 of pinyin on polyphonic characters."""

    def _info(self):
        readings = datasets.Sequence(datasets.Value("string"))
        return evaluate.MetricInfo(
            description=__doc__,
            citation="",
            inputs_description=_INPUTS,
            features=datasets.Features(
                {"predictions": readings, "references": readings, "texts": datasets.Value("string")}
            ),
        )

    def _compute(self, predictions, references, texts):
        return pinyin_scores(texts, references, predictions)
