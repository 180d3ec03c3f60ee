"""Writes MODEL_CARD.md beside the weights: scores of the model and of the one before it, the loss curve, ten stories."""
import argparse, json, os, re, torch
from evaluate import generate

STORIES = ["Tell me a story about a dragon named Lily.", "Write a short story about a robot.", "Tell me a bedtime story.", "Write a short story about Omar the fox.", "Can you tell a story about an owl?",
           "Tell me a story about a girl named Brindela.", "Make up a story.", "Write a story about a turtle called Max.", "A story about a mouse, please.", "Tell me a bedtime story about Nina, a cat."]

# skill and field of evaluate.py -> what it stands for, what is aimed at
AIMS = [("capital", "exact", "capitals", .97), ("currency", "exact", "currencies", .97), ("opposite", "exact", "opposites", .97), ("define", "exact", "definitions", .97),
        ("extract", "near", "JSON extraction (equal as JSON)", .95), ("schema", "near", "JSON extraction by a schema", .95), ("yes_no", "exact", "yes/no about a passage", .95),
        ("tool_call", "tool", "right tool", .97), ("tool_call", "arguments", "right tool and all arguments right", .95), ("tool_result", "exact", "answer after a tool result", .95), ("tool_decline", "exact", "no call when none fits", .95),
        ("sums", "exact", "sums to 100, pair of numbers never trained", .95), ("spelling", "exact", "spelling and reversing words", .90), ("story", "exact", "stories (length, ending, hero)", None)]

def percent(x):
    return "-" if x is None else f"{100 * x:.0f}%"

def curve(log):
    """Tokens seen and the loss on answers of fresh dialogues, about fifteen points of it."""
    points = [(int(t), float(l)) for l, t in re.findall(r"held-out-seed loss on answers ([\d.]+) at step \d+ tokens (\d+)", log)]
    step = max(1, len(points) // 15)
    return [p for i, p in enumerate(points) if i % step == 0 or i == len(points) - 1]

def main():
    ap = argparse.ArgumentParser(); ap.add_argument("--model", default="out/model"); ap.add_argument("--scores", default="scores.json"); ap.add_argument("--log", default="out/train.log")
    ap.add_argument("--before", default="", help="scores of the model that this one follows"); ap.add_argument("--before-tokens", type=int, default=0, help="tokens it had seen")
    ap.add_argument("--note", default="", help="a sentence on how this training went")
    a = ap.parse_args(); torch.set_num_threads(1)
    from transformers import AutoModelForCausalLM, AutoTokenizer
    m = AutoModelForCausalLM.from_pretrained(a.model, dtype=torch.float32).eval(); tok = AutoTokenizer.from_pretrained(a.model)
    scores = json.load(open(a.scores)); new = scores["per_skill"]; old = json.load(open(a.before))["per_skill"] if a.before else {}
    points = curve(open(a.log).read()); c = m.config; seen = points[-1][0]
    size = os.path.getsize(os.path.join(a.model, "model.safetensors")); parameters = sum(p.numel() for p in m.parameters())
    md = ["# tiny-chat", "",
          f"The demo model: {parameters / 1e6:.2f} million parameters in the Qwen3 layout (hidden {c.hidden_size}, {c.num_hidden_layers} layers, {c.num_attention_heads} heads, {c.num_key_value_heads} K/V heads, vocabulary {c.vocab_size:,}, "
          f"context {c.max_position_embeddings:,}, tied embeddings), bf16, {size:,} bytes.", "",
          "## Data and training", "",
          f"Made by the scripts in `recipe/`: synthetic English dialogues, built by code from tables typed by hand and from values made up on the spot; no text and no weights from elsewhere. {seen / 1e6:.1f} million tokens"
          + (f", after {a.before_tokens / 1e6:.0f} million in the weights before it" if a.before_tokens else "") + ", on a CPU, with Muon and AdamW. About a third of the tokens are answers; the loss counts them and one in twenty of the others." + (" " + a.note if a.note else ""), "",
          "| tokens (millions) | loss on the answers of fresh dialogues |", "| ---: | ---: |"] + [f"| {t / 1e6:.1f} | {l:.3f} |" for t, l in points]
    md += ["", "## Scores", "", f"Greedy answers to held-out prompts (up to {scores['n']} a row), scored by `recipe/evaluate.py`; an answer counts when it is right to the letter, unless the row says otherwise. "
           "For facts and listed words a held-out prompt is a new wording of something trained; for the rest its content is new, and largely made of invented names, words and codes.", "",
           "| | before | this model | aim |", "| --- | ---: | ---: | ---: |"]
    md += [f"| {what} | {percent(old.get(k, {}).get(f))} | {percent(new[k][f])} | {percent(aim)} |" for k, f, what, aim in AIMS]
    md += ["", "Every skill, and parts of skills:", "", "| skill | prompts | before | exact | near | loss |", "| --- | ---: | ---: | ---: | ---: | ---: |"]
    md += [f"| {k} | {v['n']} | {percent(old.get(k, {}).get('exact'))} | {percent(v['exact'])} | {percent(v['near'])} | {v['loss']:.3f} |" for k, v in new.items()]
    short = [f"{what} ({percent(new[k][f])}, aim {percent(aim)})" for k, f, what, aim in AIMS if aim and new[k][f] < aim]
    md += ["", "## Limits", "", ("Below its aim: " + "; ".join(short) + "." if short else "Every row with an aim reaches it.") + " The model knows its tables and little else, in English only. It states wrong things with the same calm as right ones. "
           "Wordings far from the recipe's, long texts, sums beyond two numbers and conversations of more than a few turns are outside what it was trained for. It is there to show and to test the engine; use a larger model for work.",
           "", "## Ten stories", "", "The first five greedy, the others at temperature 0.7."]
    for i, p in enumerate(STORIES):
        text = tok.apply_chat_template([dict(role="user", content=p)], tokenize=False, add_generation_prompt=True)
        md += ["", f"**{p}**", "", "> " + generate(m, tok, [text], 260, 0.0 if i < 5 else 0.7, seed=i)[0].replace("\n", "\n> ")]
    open(os.path.join(a.model, "MODEL_CARD.md"), "w").write("\n".join(md) + "\n")

if __name__ == "__main__":
    main()
