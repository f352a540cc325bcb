"""Writes crates/collimate-eval/tests/fixtures/text_metrics.json.

What sacreBLEU makes of sentences with BLEU and chrF, and how it cuts them into words; what rouge-score
makes of them; what scikit-learn makes of predicted classes; intervals and tests from scipy. The sentences are written
for this, or drawn from a seed. SQuAD's scores are computed here by their definition.
rouge-score 0.1.2, sacrebleu 2.6.0, scikit-learn 1.9.1, scipy 1.17.1:

    python conformance/text_metrics.py
"""

import collections
import json
import logging
import pathlib
import random
import re
import string

from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.metrics import BLEU, CHRF
from scipy.stats import binomtest
from sklearn.metrics import accuracy_score, confusion_matrix, precision_recall_fscore_support

OUT = pathlib.Path(__file__).parent.parent / "crates/collimate-eval/tests/fixtures/text_metrics.json"

# Hypotheses with their references.
CORPORA = {
    "english": [
        ("The ferry to the island leaves at 7.45 a.m.", ["The ferry for the island departs at 7:45 a.m."]),
        ("Rain is expected, but the match will go on.", ["Rain is expected, yet the match goes ahead."]),
        ("She said: \"I wouldn't do that if I were you.\"", ["\"I would not do that if I were you,\" she said."]),
        ("The budget grew by 3.5% to $1,250,000.", ["The budget rose 3.5 % to $1,250,000.00."]),
        ("Nobody was hurt.", ["No one was hurt."]),
        ("Open the valve before 10-20 turns of the state-of-the-art pump.", ["Open the valve before 10 to 20 turns of the pump."]),
    ],
    "several_references": [
        ("The council approved the plan on Monday.", ["On Monday the council approved the plan.", "The plan was approved by the council on Monday.", "Monday saw the council approve it."]),
        ("Prices fell again , again and again .", ["Prices fell again.", "Prices kept falling, again and again.", "Again and again, prices fell; again!"]),
        ("A B A B A B", ["A B A", "B A B A", "A A A B B B"]),
    ],
    "varying_references": [
        ("Water boils at 100 °C.", ["At sea level water boils at 100 °C.", "Water boils at 100 degrees."]),
        ("Yes.", ["Yes, of course."]),
        ("Turn left at the church, then walk for two minutes.", ["At the church, turn left; then walk two minutes.", "Go left at the church and walk on for two minutes.", "Left at the church, two minutes on foot.", ""]),
    ],
    "unicode": [
        ("Žluťoučký kůň úpěl ďábelské ódy.", ["Příliš žluťoučký kůň úpěl ďábelské ódy."]),
        ("Größe ist „relativ“ – sagte er…", ["„Größe ist relativ“, sagte er."]),
        ("cafe\u0301 nai\u0308ve re\u0301sume\u0301", ["café naïve résumé"]),
        ("今日は天気がいいですね。", ["今日はいい天気です。"]),
        ("我们在2024年10月1日见面,好吗?", ["我们2024年10月1日见面，好吗？"]),
        ("Nice work 👍🏽 — see you at 5 👩‍👩‍👧!", ["Great work 👍 — see you at 5!"]),
        ("İstanbul'da ΟΔΥΣΣΕΥΣ K=273.15\u212a", ["istanbul'da Οδυσσεύς k=273.15K"]),
        ("Цена: 1 250,50 ₽ (≈ €12.30).", ["Цена — 1250,50 ₽ (около €12,30)."]),
        ("مرحبا، كيف حالك؟", ["مرحباً كيف حالك؟"]),
        ("½ cup + Ⅷ ② x²", ["1/2 cup + VIII 2 x²"]),
        ("non\u00a0breaking\u3000ideographic\u2028line\u0085next\u001funit", ["non breaking ideographic line next unit"]),
        ("zero\u200bwidth\ufeff", ["zerowidth"]),
    ],
    "entities_and_lines": [
        ("He wrote &quot;a &lt; b &amp;&amp; c &gt; d&quot; &amp;lt; twice.", ["He wrote \"a < b && c > d\" < twice."]),
        ("A hyphen-\nated word\nand a new line.\n", ["A hyphenated word\n\nand a new line."]),
        ("First point.\nSecond point is long.\nThird.", ["Third point.\nFirst point.\nThe second point is longer."]),
        ("<skipped> tags and <b>bold</b> ones -\n", ["tags & bold ones"]),
        ("windows\r\nline\r\nends", ["windows\nline\nends"]),
        ("&apos; stays &nbsp; too", ["' stays too"]),
    ],
    "short_and_empty": [
        ("", ["Something was expected."]),
        ("Something was said.", [""]),
        ("", [""]),
        ("   \n", ["No"]),
        ("No", ["No"]),
        ("Not at all", ["Not at all"]),
        ("...", ["..."]),
        (".", ["!"]),
        ("a,b.c", ["a , b . c"]),
    ],
    "identical": [(s, [s]) for s in ("One small step for the crew, at 3.14 metres.", "Tell me: is it \"true\"? (Yes!)")],
    "disjoint": [("alpha beta gamma delta", ["one two three four"]), ("zzz", ["kkk qqq"])],
    "only_empty": [("", ["reference here"]), (" ", [""])],
    "ends": [("the the the the", ["the cat"]), ("x", ["x"]), ("on the mat the cat sat", ["the cat sat on the mat"])],
}

BLEU_SETTINGS = [
    {},
    {"tokenize": "intl"},
    {"tokenize": "zh"},
    {"tokenize": "char"},
    {"tokenize": "none"},
    {"lowercase": True},
    {"smooth_method": "none"},
    {"smooth_method": "floor"},
    {"smooth_method": "floor", "smooth_value": 0.0},
    {"smooth_method": "add-k"},
    {"smooth_method": "add-k", "smooth_value": 0.25, "effective_order": True},
    {"effective_order": True},
    {"effective_order": True, "smooth_method": "floor", "smooth_value": 0.5},
    {"max_ngram_order": 2},
    {"max_ngram_order": 6, "lowercase": True, "tokenize": "intl"},
]
CHRF_SETTINGS = [
    {},
    {"word_order": 2},
    {"word_order": 1, "beta": 1},
    {"beta": 3, "lowercase": True},
    {"whitespace": True},
    {"eps_smoothing": True},
    {"word_order": 2, "eps_smoothing": True, "whitespace": True},
    {"char_order": 0, "word_order": 3},
    {"char_order": 3},
]
TOKENIZERS = ["13a", "intl", "zh"]
ALPHABET = list("aA1290  ..,,--''\"&;<>/()[]{}~`^_*+:@!?%$#|\\=\n\t") + list(
    "éßİΣς٣½²Ⅷ—…“’«€₿≈→☃✓一豆㐀。，！ｱＡ\u0301\u00a0\u2003\u200b\u3000\u2028\x1c😀𠀀丽\u2a6d\u2a70\uff00\u9fbb\u9fbc"
) + ["&quot;", "&amp;", "&lt;", "&gt;", "<skipped>", "-\n", "the", "word", "10-20", "1,000.5"]


def by_reference(segments):
    """sacreBLEU's way round: a list for each reference; None where a segment has no such one."""
    most = max(len(references) for _, references in segments)
    return [
        [references[i] if i < len(references) else None for _, references in segments]
        for i in range(most)
    ]


def signature(metric):
    return re.sub(r"\|version:.*", "", str(metric.get_signature()))


def bleu(settings, segments):
    hypotheses, references = [h for h, _ in segments], by_reference(segments)
    metric = BLEU(force=True, **settings)
    score = metric.corpus_score(hypotheses, references)
    # Smoothing overwrites counts.
    plain = BLEU(force=True, **{**settings, "smooth_method": "none", "smooth_value": None})
    plain = plain.corpus_score(hypotheses, references)
    sentences = [BLEU(force=True, **settings).sentence_score(h, r).score for h, r in segments]
    return {
        "settings": settings,
        "score": score.score,
        "precisions": list(score.precisions),
        "counts": list(plain.counts),
        "totals": list(plain.totals),
        "brevity_penalty": score.bp,
        "hypothesis_length": score.sys_len,
        "reference_length": score.ref_len,
        "signature": signature(metric),
        "sentences": sentences,
    }


def chrf(settings, segments):
    metric = CHRF(**settings)
    score = metric.corpus_score([h for h, _ in segments], by_reference(segments))
    sentences = [CHRF(**settings).sentence_score(h, r).score for h, r in segments]
    return {
        "settings": settings,
        "score": score.score,
        "name": score.name,
        "signature": signature(metric),
        "sentences": sentences,
    }


def rouge(segments):
    scorer = RougeScorer(["rouge1", "rouge2", "rougeL", "rougeLsum"])
    scores = [scorer.score_multi(references, hypothesis) for hypothesis, references in segments]
    return [{name: list(map(float, score)) for name, score in s.items()} for s in scores]


def normalize(text):
    text = "".join(c for c in text.lower() if c not in set(string.punctuation))
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())


def answer(prediction, gold):
    """SQuAD's scores, by their definition: the reference implementation is no package."""
    p, g = normalize(prediction).split(), normalize(gold).split()
    exact = p == g
    if not p or not g:
        return exact, float(p == g)
    common = sum((collections.Counter(p) & collections.Counter(g)).values())
    if common == 0:
        return exact, 0.0
    precision, recall = common / len(p), common / len(g)
    return exact, 2 * precision * recall / (precision + recall)


def answers(generator):
    cases = [case for corpus in CORPORA.values() for case in corpus]
    cases += [
        ("The Elbe", ["Elbe", "the River Elbe"]),
        ("a", ["an", "the"]),
        ("1,870 metres", ["1870 m", "the 1870 metres"]),
        ("“the” _a_ An-other", ["another", "“ ”"]),
        ("été à Théâtre a\u0301", ["théâtre été"]),
    ]
    cases += [(noise(generator), [noise(generator) for _ in range(2)]) for _ in range(20)]
    scores = [[answer(p, g) for g in gold] for p, gold in cases]
    return [
        {
            "answer": p,
            "accepted": gold,
            "normalized": normalize(p),
            "exact": max(exact for exact, _ in score),
            "f1": max(f1 for _, f1 in score),
        }
        for (p, gold), score in zip(cases, scores)
    ]


def noise(generator):
    return "".join(generator.choices(ALPHABET, k=generator.randrange(0, 40)))


def summaries(generator):
    """Lines of few different words: much to match, and many equally long subsequences."""
    words = ["the", "red", "fox", "ran", "home", "Été", "to", "42"]
    def text():
        lines = [" ".join(generator.choices(words, k=generator.randrange(0, 25))) for _ in range(generator.randrange(1, 6))]
        return "\n".join(lines)
    return [(text(), [text() for _ in range(generator.randrange(1, 4))]) for _ in range(12)]


def classification(generator):
    cases = [
        (["a", "b", "a"], ["a", "a", "a"], ["a", "b"]),
        (["a", "b", "c"], ["a", "b", "c"], ["a", "b", "c"]),
        (["a", "b"], ["x", "y"], ["a", "b"]),
        (["a"], ["b"], ["a", "b", "never"]),
    ]
    for size in (30, 200):
        truth = generator.choices(["safe", "unsafe", "unclear", "žádný"], [8, 4, 2, 1], k=size)
        guess = [t if generator.random() < 0.6 else generator.choice(["safe", "unsafe", "?", ""]) for t in truth]
        cases.append((truth, guess, sorted(set(truth))))
    out = []
    for truth, guess, labels in cases:
        def scores(average):
            values = precision_recall_fscore_support(truth, guess, labels=labels, average=average, zero_division=0)
            return [v if v is None else v.tolist() if hasattr(v, "tolist") else v for v in values]
        every = sorted(set(truth) | set(guess))
        out.append({
            "truth": truth,
            "predicted": guess,
            "labels": labels,
            "accuracy": float(accuracy_score(truth, guess)),
            "each": scores(None),
            "macro": scores("macro")[:3],
            "weighted": scores("weighted")[:3],
            "all_labels": every,
            "confusion": confusion_matrix(truth, guess, labels=every).tolist(),
        })
    return out


def statistics():
    wilson = []
    for count, of in [(0, 1), (1, 1), (0, 20), (3, 20), (20, 20), (57, 100), (1, 10**6), (250_000, 10**6)]:
        low, high = binomtest(count, of).proportion_ci(0.95, "wilson")
        wilson.append([count, of, float(low), float(high)])
    mcnemar = []
    for lost, gained in [(0, 1), (1, 1), (5, 0), (3, 11), (40, 61), (700, 600), (2000, 2300), (0, 300)]:
        mcnemar.append([lost, gained, float(binomtest(min(lost, gained), lost + gained, 0.5).pvalue)])
    return {"wilson": wilson, "mcnemar": mcnemar}


def main():
    # sacreBLEU advises against what is done here on purpose.
    logging.getLogger("sacrebleu").setLevel(logging.ERROR)
    generator = random.Random(20)
    corpora = dict(CORPORA)
    corpora["summaries"] = summaries(generator)
    corpora["noise"] = [(noise(generator), [noise(generator) for _ in range(generator.randrange(1, 4))]) for _ in range(20)]
    texts = [text for name in CORPORA for h, r in CORPORA[name] for text in [h, *r]]
    texts += [noise(generator) for _ in range(60)]
    out = {
        "corpora": {
            name: {
                "hypotheses": [h for h, _ in segments],
                "references": [r for _, r in segments],
                "bleu": [bleu(settings, segments) for settings in BLEU_SETTINGS],
                "chrf": [chrf(settings, segments) for settings in CHRF_SETTINGS],
                "rouge": rouge(segments),
            }
            for name, segments in corpora.items()
        },
        "tokens": {
            "texts": texts,
            **{name: [" ".join(BLEU(tokenize=name).tokenizer(t).split()) for t in texts] for name in TOKENIZERS},
        },
        "answers": answers(generator),
        "classification": classification(generator),
        **statistics(),
    }
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps(out, ensure_ascii=False, indent=None, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
