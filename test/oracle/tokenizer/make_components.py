"""Encodes and decodes with random combinations of tokenizer components; writes components.json.

Needs: pip install tokenizers==0.23.2. A case is a base (a model of ../models, or one trained here) and members that
replace its own."""
import json
import pathlib
import random

import tokenizers
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

random.seed(20250309)
HERE = pathlib.Path(__file__).parent
MODELS = HERE.parent / "models"
BASES = ["qwen3", "llama-gqa", "mistral-swa", "llama3-rope-tied", "gpt-oss", "gemma2", "cohere2"]
TEXTS = [case["text"] for case in json.loads((MODELS / "qwen3/reference.json").read_text())["tokenizer"]]
LLAMA3 = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
PATTERNS = [
    LLAMA3,
    "'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}++|\\p{N}{1,3}+| ?[^\\s\\p{L}\\p{N}]++[\\r\\n]*+|\\s++$|\\s*[\\r\\n]|\\s+(?!\\S)|\\s",
    "\\s+", "\\w+", "\\W", "\\d", "[[:alpha:]]+", "[[:punct:]]", "\\p{Punct}", "\\p{Han}+", "[^\\s]+", "\\b", "$", "^", "(?m).+", ".+",
    "\\h+", "[a-z&&[^aeiou]]+", "(?i)[a-k]+", "(?>a+)b?", "\\P{L}", "\\p{^L}", "[\\p{Lu}\\p{Lt}]\\p{Ll}*", "x*",
    "(?<=a)b|(?<!a)b", "\\s{2,}", "[\\u4e00-\\u9fff]", "\\x{e9}", "a{2}", "(a|b)+", "\\R", "\\A.", "\\z", "[^[:space:]]",
    "[\\]a]", "[-a]", "[a-]", "(?i)ß", "(?i:É)", "\\p{Alpha}+", "\\p{Greek}", "[\\s\\d]+", "[[:upper:]]", "\\B",
]
WORDS = ["the ", " don't", " I'M", "'Ve", "'ſ", "<s>", "</s>", "<tok>", " <tok> ", "  <tok>  ", "foo", "foobar", "Tiếng",
         "Ti\u0301", "▁", " ▁a", "##x", "1234", "  \n\n  ", "it's", "\r\n", "<0x0A>", "Ġa", "éé", "e\u0301"]
CHARS = list("abcdefghijklmnopqrstuvwxyzABCXYZ  \t\n\r.,!?'-_/<>|[]()0123456789éßñÅſKΩжя中文日本語ーㄱ한글العربية️‍👩🎉🇩🇪½²٣Ⅷ"
             "\u00a0\u0085\u200b\u3000\ufeff\u2028\x00\x1c\u0345ǅﬁ")
BEHAVIORS = ["Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"]


def flip(share=0.5):
    return random.random() < share


def text():
    return "".join(random.choice(WORDS if flip(0.45) else CHARS) for _ in range(random.randint(0, 14)))


def pattern():
    return {"String": random.choice([" ", "a", "▁", "e", "'"])} if flip(0.3) else {"Regex": random.choice(PATTERNS)}


def sequence(make, member):
    return {"type": "Sequence", member: [step for step in (make(False) for _ in range(random.randint(1, 3))) if step]}


def normalizer(deep=True):
    kind = random.choice(["NFC", "NFD", "NFKC", "NFKD", "Lowercase", "Strip", "StripAccents", "Prepend", "Replace",
                          "BertNormalizer", "ByteLevel", "Sequence", None, None])
    if kind == "Sequence":
        return sequence(normalizer, "normalizers") if deep else None
    return kind and {"type": kind, **{
        "Strip": lambda: {"strip_left": flip(), "strip_right": flip()},
        "Prepend": lambda: {"prepend": "▁"},
        "Replace": lambda: {"pattern": pattern(), "content": random.choice(["▁", " ", "", "xx"])},
        "BertNormalizer": lambda: {"clean_text": flip(), "handle_chinese_chars": flip(),
                                   "strip_accents": random.choice([None, True, False]), "lowercase": flip()},
    }.get(kind, dict)()}


def pre_tokenizer(deep=True):
    kind = random.choice(["ByteLevel", "ByteLevel", "Split", "Split", "Digits", "Metaspace", "Punctuation", "Whitespace",
                          "WhitespaceSplit", "BertPreTokenizer", "CharDelimiterSplit", "Sequence", "Sequence", None])
    if kind == "Sequence":
        return sequence(pre_tokenizer, "pretokenizers") if deep else None
    return kind and {"type": kind, **{
        "ByteLevel": lambda: {"add_prefix_space": flip(), "trim_offsets": True, "use_regex": flip()},
        "Split": lambda: {"pattern": pattern(), "behavior": random.choice(BEHAVIORS), "invert": flip(0.3)},
        "Digits": lambda: {"individual_digits": flip()},
        "Metaspace": lambda: {"replacement": "▁", "prepend_scheme": random.choice(["always", "first", "never"]), "split": flip()},
        "Punctuation": lambda: {"behavior": random.choice(BEHAVIORS)},
        "CharDelimiterSplit": lambda: {"delimiter": random.choice([" ", "a"])},
    }.get(kind, dict)()}


def decoder(deep=True):
    kind = random.choice(["ByteLevel", "ByteFallback", "Fuse", "Strip", "Replace", "Metaspace", "WordPiece", "BPEDecoder",
                          "Sequence", "Sequence", None])
    if kind == "Sequence":
        return sequence(decoder, "decoders") if deep else None
    return kind and {"type": kind, **{
        "ByteLevel": lambda: {"add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "Strip": lambda: {"content": random.choice([" ", "a"]), "start": random.randint(0, 2), "stop": random.randint(0, 2)},
        "Replace": lambda: {"pattern": {"String": "▁"} if flip(0.7) else pattern(), "content": " "},
        "Metaspace": lambda: {"replacement": "▁", "prepend_scheme": random.choice(["always", "first", "never"]), "split": True},
        "WordPiece": lambda: {"prefix": "##", "cleanup": flip()},
        "BPEDecoder": lambda: {"suffix": random.choice(["</w>", "e"])},
    }.get(kind, dict)()}


def trained():
    corpus = [text for text in TEXTS if len(text) < 400] * 3

    def train(model, pre, trainer):
        tokenizer = Tokenizer(model)
        tokenizer.pre_tokenizer = pre
        tokenizer.train_from_iterator(corpus, trainer)
        return json.loads(tokenizer.to_str())

    small = {"show_progress": False}
    return {
        "unigram": train(models.Unigram(), pre_tokenizers.Metaspace(),
                         trainers.UnigramTrainer(vocab_size=300, special_tokens=["<unk>", "<s>"], unk_token="<unk>", **small)),
        "wordpiece": train(models.WordPiece(unk_token="[UNK]"), pre_tokenizers.BertPreTokenizer(),
                           trainers.WordPieceTrainer(vocab_size=300, special_tokens=["[UNK]"], **small)),
        "wordlevel": train(models.WordLevel(unk_token="<unk>"), pre_tokenizers.Whitespace(),
                           trainers.WordLevelTrainer(vocab_size=150, special_tokens=["<unk>"], **small)),
        "bpe-prefix": train(models.BPE(unk_token="<unk>", continuing_subword_prefix="##"), pre_tokenizers.Whitespace(),
                            trainers.BpeTrainer(vocab_size=250, special_tokens=["<unk>"], continuing_subword_prefix="##", **small)),
        "bpe-suffix": train(models.BPE(unk_token="<unk>", end_of_word_suffix="</w>", fuse_unk=True), pre_tokenizers.Whitespace(),
                            trainers.BpeTrainer(vocab_size=250, special_tokens=["<unk>"], end_of_word_suffix="</w>", **small)),
    }


def added(base):
    vocab = base["model"]["vocab"]
    known = set(vocab) if isinstance(vocab, dict) else {entry[0] for entry in vocab}
    tokens = list(base["added_tokens"])
    next_id = max([token["id"] for token in tokens] + [len(vocab) - 1]) + 1
    for content in random.sample(["<tok>", "foo", "e", "  ", "é", "the", "Tiếng", " x", "<a b>"], 3):
        if content in known or any(token["content"] == content for token in tokens):
            continue
        normalized = flip()
        tokens.append({"id": next_id, "content": content, "single_word": flip(0.3), "lstrip": flip(0.3), "rstrip": flip(0.3),
                       "normalized": normalized, "special": not normalized and flip()})
        next_id += 1
    return tokens


def case(bases):
    name = random.choice(list(bases))
    base = bases[name]
    patch = {}
    for member, make in [("normalizer", normalizer), ("pre_tokenizer", pre_tokenizer), ("decoder", decoder)]:
        if flip(0.7):
            patch[member] = make()
    patch["added_tokens"] = added(base)
    model = {}
    if base["model"]["type"] == "BPE":
        for member in ["ignore_merges", "byte_fallback", "fuse_unk"]:
            if flip(0.2):
                model[member] = not base["model"][member]
    elif base["model"]["type"] == "Unigram":
        model["byte_fallback"] = flip()
    tokenizer = Tokenizer.from_str(json.dumps({**base, **patch, "model": {**base["model"], **model}}))
    # Left out: tokens that a normaliser empties, and `Metaspace` at a start that a normaliser took away.
    written = json.dumps([patch, {**base, "model": None}])
    if tokenizer.normalizer and any(token["normalized"] and not tokenizer.normalizer.normalize_str(token["content"])
                                    for token in patch["added_tokens"]):
        return None
    if '"first"' in written and any(word in written for word in ["Strip", "Bert", "Replace"]):
        return None
    rows = []
    for one in [text() for _ in range(6)]:
        tokenizer.encode_special_tokens = False
        row = {"text": one, "ids": tokenizer.encode(one).ids, "plain": tokenizer.encode(one, add_special_tokens=False).ids}
        tokenizer.encode_special_tokens = True
        row["inert"] = tokenizer.encode(one, add_special_tokens=False).ids
        row["decoded"] = tokenizer.decode(row["ids"], skip_special_tokens=False)
        row["skipped"] = tokenizer.decode(row["ids"])
        rows.append(row)
    return {"base": name, "patch": patch, "model": model, "rows": rows}


own = trained()
bases = {**own, **{name: json.loads((MODELS / name / "tokenizer.json").read_text()) for name in BASES}}
cases = []
while len(cases) < 120:
    try:
        made = case(bases)
    except BaseException:  # the reference itself panics on some combinations
        continue
    if made:
        cases.append(made)
lines = ",\n".join(json.dumps(one, ensure_ascii=False, separators=(",", ":")) for one in cases)
trained_bases = json.dumps(own, ensure_ascii=False, separators=(",", ":"))
(HERE / "components.json").write_text(
    f'{{"tokenizers":"{tokenizers.__version__}",\n"bases":{trained_bases},\n"cases":[\n{lines}\n]}}\n')
