"""Rankings, scored by the measures of trec_eval."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from fwsvd_export.errors import MissingExtraError

LISTED, FIRST = 100, 10

Grades = Mapping[str, Mapping[str, int]]
"""Id of a query -> id of a text -> grade, above 0 for an answer."""
Rankings = Mapping[str, Mapping[str, float]]
"""Id of a query -> id of a text -> how well it answers, larger is better."""
RankingScore = Callable[[Grades, Rankings], dict[str, tuple[float, float, float]]]
"""-> id of a query -> nDCG of the first 10, recall of the first 100, reciprocal rank within the first 10."""


def ranking_scorer() -> RankingScore:
    """The function that scores rankings; every query has a grade above 0 and at least one ranked text.

    Of texts with one score the lower grade comes first: a model that tells nothing apart is not rewarded.

    Raises:
        MissingExtraError: pytrec_eval is not installed.

    Example:
        >>> score = ranking_scorer()
        >>> score({"q": {"a": 1, "b": 0}}, {"q": {"a": 0.2, "b": 0.7}})["q"][2]
        0.5
    """
    try:
        from pytrec_eval import RelevanceEvaluator
    except ModuleNotFoundError as error:
        raise MissingExtraError("pytrec_eval", "embeddings") from error

    def score(relevant: Grades, found: Rankings) -> dict[str, tuple[float, float, float]]:
        judged = {query: dict(grades) for query, grades in relevant.items()}
        ranked = {}
        for query, texts in found.items():
            order = sorted(texts, key=lambda name: (-texts[name], judged[query].get(name, 0), name))
            ranked[query] = {name: -float(place) for place, name in enumerate(order)}
        first = {query: dict(list(texts.items())[:FIRST]) for query, texts in ranked.items()}
        measures = RelevanceEvaluator(judged, {f"ndcg_cut.{FIRST}", f"recall.{LISTED}"}).evaluate(ranked)
        reciprocal = RelevanceEvaluator(judged, {"recip_rank"}).evaluate(first)
        return {
            query: (of[f"ndcg_cut_{FIRST}"], of[f"recall_{LISTED}"], reciprocal[query]["recip_rank"])
            for query, of in measures.items()
        }

    return score
