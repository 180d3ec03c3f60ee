"""Writes the model card, README.md beside the weights: scores and aims, the loss curve, ten stories."""
import argparse, json, os
from data import IM_START, chat, encode, pieces
from evaluate import generate, load

STORIES = ["Tell me a story about a dragon named Lily.", "Write a short story about a robot.", "Tell me a bedtime story.", "Write a short story about Omar the fox.", "Can you tell a story about an owl?",
           "Tell me a story about a girl named Brindela.", "Make up a story.", "Write a story about a turtle called Max.", "A story about a mouse, please.", "Tell me a bedtime story about Nina, a cat."]

# skill and field of evaluate.py -> what it stands for, what is aimed at
AIMS = [("capital", "exact", "capitals", .97), ("currency", "exact", "currencies", .97), ("opposite", "exact", "opposites", .97), ("define", "exact", "definitions", .97),
        ("extract", "near", "JSON extraction (equal as JSON)", .95), ("schema", "near", "JSON extraction by a schema", .95), ("yes_no", "exact", "yes or no about a passage", .95),
        ("tool_call", "tool", "right tool", .97), ("tool_call", "arguments", "right tool and all arguments right", .95), ("tool_result", "exact", "answer after a tool result", .95), ("tool_decline", "no_call", "no call when no tool fits", .95),
        ("sums", "exact", "sums to 100, pair of numbers never trained", .95), ("spelling", "exact", "spelling and reversing short words", .90), ("story", "exact", "stories (length, ending, hero)", None)]

def percent(x):
    return "-" if x is None else f"{100 * x:.0f}%"

def curve(log):
    """About fifteen points of the loss curve, the last one among them."""
    step = -(-len(log) // 15)
    return [p for i, p in enumerate(log) if i % step == 0 or i == len(log) - 1]

def said(m, tok, prompt, i):
    ids = encode(tok, pieces(chat([(prompt, "")])[:-1]) + [(f"{IM_START}assistant\n", False)])[0]
    return generate(m, tok, [ids], 400, 0.0 if i < 5 else 0.7, seed=i)[0]

def main():
    ap = argparse.ArgumentParser(); ap.add_argument("--model", default="out"); ap.add_argument("--scores", default=""); ap.add_argument("--log", default="")
    ap.add_argument("--how", default="", help="a sentence on how and on what this training ran")
    ap.add_argument("--limits", default="", help="what was seen to go wrong with these weights")
    a = ap.parse_args()
    m, tok = load(a.model); c = m.c
    scores = json.load(open(a.scores or os.path.join(a.model, "scores.json"))); new = scores["per_skill"]
    log = json.load(open(a.log or os.path.join(a.model, "log.json")))
    size = os.path.getsize(os.path.join(a.model, "model.safetensors")); parameters = sum(p.numel() for p in m.parameters())
    md = ["# tiny-chat", "",
          f"The embedded model: {parameters / 1e6:.1f} million parameters in the Qwen3 layout (hidden {c.hidden_size}, feed-forward {c.intermediate_size}, {c.num_hidden_layers} layers, {c.num_attention_heads} heads, {c.num_key_value_heads} K/V heads, "
          f"vocabulary {c.vocab_size:,}, context {c.max_position_embeddings:,}, tied embeddings), bf16, {size:,} bytes.", "",
          "## Data and training", "",
          f"Made by the scripts in `recipe/`: synthetic English dialogues, built by code from tables typed by hand and from values made up on the spot; no text and no weights from elsewhere. {log[-1]['tokens'] / 1e6:.0f} million tokens, "
          "padding included, no dialogue twice, with Muon and AdamW." + (" " + a.how if a.how else "") + " About a third of the tokens are answers; the loss counts them and one in twenty of the others.", "",
          "| tokens (millions) | seconds | loss on answers |", "| ---: | ---: | ---: |"] + [f"| {p['tokens'] / 1e6:.1f} | {p['seconds']:.0f} | {p['loss']:.4f} |" for p in curve(log)]
    md += ["", "## Scores", "", f"Greedy answers to held-out prompts (up to {scores['n']} a row), scored by `recipe/evaluate.py`; an answer counts when it is right to the letter, unless the row says otherwise. "
           "For facts and listed words a held-out prompt is a new wording of something trained; for the rest its content is new, and largely made of invented names, words and codes.", "",
           "| | prompts | this model | aim |", "| --- | ---: | ---: | ---: |"]
    md += [f"| {what} | {new[k]['n']} | {percent(new[k][f])} | {percent(aim)} |" for k, f, what, aim in AIMS]
    md += ["", "Every skill, and parts of skills (near: the short form of the answer occurs; for JSON: an equal value):", "", "| skill | prompts | exact | near |", "| --- | ---: | ---: | ---: |"]
    md += [f"| {k} | {v['n']} | {percent(v['exact'])} | {percent(v['near'])} |" for k, v in new.items()]
    short = [f"{what} ({percent(new[k][f])}, aim {percent(aim)})" for k, f, what, aim in AIMS if aim and new[k][f] < aim]
    md += ["", "## Limits", "", ("Below its aim: " + "; ".join(short) + "." if short else "Every row with an aim reaches it.") + " The model knows its tables and little else, in English only. It states wrong things with the same calm as right ones. "
           "Wordings far from the recipe's, long texts and sums beyond two numbers are outside what it was trained for. " + (a.limits + " " if a.limits else "") + "It is there to show and to test the engine; use a larger model for work.",
           "", "## Ten stories", "", "The first five greedy, the others at temperature 0.7."]
    for i, p in enumerate(STORIES):
        md += ["", f"**{p}**", "", "> " + said(m, tok, p, i).replace("\n", "\n> ")]
    open(os.path.join(a.model, "README.md"), "w").write("\n".join(md) + "\n")

if __name__ == "__main__":
    main()
