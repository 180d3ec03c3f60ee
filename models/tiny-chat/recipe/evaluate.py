"""Scores an exported model on held-out prompts (never in the training data), greedily."""
import argparse, json, os, random, re, time
from data import *
from toolgen import tool_dialogue

def only(f, keep):
    """The exchanges of f that keep accepts."""
    def g(r):
        while True:
            e = f(r)
            if keep(e): return e
    return g
# parts of skills that are worth a score of their own
PARTS = dict(sums=sums, spelling=only(spell, lambda e: e["s"].count("-") > 1), yes_no=only(reading, lambda e: e["s"] in ("Yes", "No")), schema=only(extract, lambda e: "schema" in e["u"]))
SINGLE = {**{k: f for k, (f, _) in SKILLS.items()}, **PARTS}
SEVERAL = dict(memory=memory, followup=followup, style=style)
TOOL = ["tool_call", "tool_result", "tool_decline", "tool_chat"]

def names():
    return [*SINGLE, *SEVERAL, *TOOL]

def rounds(ks):
    """Skills with answers of like length together; the ones of most interest first."""
    return [r for r in ([k for k in ks if k in TOOL or k in PARTS or k in ("capital", "currency", "opposite", "define", "extract", "copying")], [k for k in ks if not (k in TOOL or k in PARTS or k in ("capital", "currency", "opposite", "define", "extract", "copying", "story"))], [k for k in ks if k == "story"]) if r]

def limit_of(skill):
    return 400 if skill == "story" else 150

def cases(k, seed, n):
    """Of one skill: a list of (messages, tools, target text, check or None, short)."""
    r = random.Random(f"eval/{seed}/{k}"); out, seen = [], set()
    for _ in range(300 * n + 4000):
        if len(out) == n: break
        if k in SINGLE:
            e = SINGLE[k](r)
            if not held_out(e["u"]): continue
            case = chat([(e["u"], e["a"])])[:-1], None, e["a"], e.get("check"), e.get("s")
        elif k in SEVERAL:
            d = SEVERAL[k](r); ms = chat(d["turns"], d.get("system"))
            if not any(held_out(m["content"]) for m in ms if m["role"] == "user"): continue
            case = ms[:-1], None, ms[-1]["content"], None, d["s"]
        else:
            mode = k[5:]
            d = tool_dialogue(r, mode); ms = d["messages"]
            i = next(j for j, m in enumerate(ms) if m["role"] == "user")
            if not held_out(ms[i]["content"]): continue
            j = next(j for j, m in enumerate(ms) if j > i and m["role"] == "assistant" and not m.get("tool_calls")) if mode == "result" else i + 1
            t = assistant_text(ms[j])
            known = lambda o: o in GREET or any(o in x[1] for x in TALK) or o in JOKES
            case = ms[:j], d["tools"], t, known if mode == "chat" and known(t) else None, None
        key = json.dumps(case[:2])
        if key not in seen: seen.add(key); out.append(case)
    return out

TOK = None
def prompts(k, seed, n, tokenizer):
    """Token ids of the prompts of one skill."""
    global TOK
    from tokenizers import Tokenizer
    if TOK is None: TOK = Tokenizer.from_file(tokenizer)
    return [encode(TOK, pieces(ms, tools) + [(f"{IM_START}assistant\n", False)])[0] for ms, tools, *_ in cases(k, seed, n)]

def parsed(text):
    try: return json.loads(text)
    except ValueError: return None

def calls_of(text):
    """Names and arguments of the tool calls that the text consists of, or nothing."""
    found = re.fullmatch(r"<tool_call>\n(.*?)\n</tool_call>(?:\n<tool_call>\n(.*?)\n</tool_call>)*", text, re.S)
    calls = [parsed(x) for x in re.findall(r"<tool_call>\n(.*?)\n</tool_call>", text, re.S)] if found else []
    return calls if calls and all(isinstance(c, dict) and set(c) == {"name", "arguments"} for c in calls) else None

def score(k, seed, n, outs):
    """Shares of right answers, exact and near (the short form occurs; for JSON: the same value), and the wrong ones."""
    ex = near = tool = args = quiet = 0; wrong = []
    cs = cases(k, seed, n)
    for (ms, tools, t, check, s), o in zip(cs, outs):
        good = bool(check(o)) if check and o else o == t
        close = good or bool(s and re.search(rf"(?<!\w){re.escape(str(s))}(?!\w)", o, re.I))
        if k in ("extract", "schema"): close = parsed(o) == parsed(t) is not None
        if k == "tool_call":
            mine, right = calls_of(o), calls_of(t)
            tool += bool(mine) and [c["name"] for c in mine] == [c["name"] for c in right]; args += mine == right; close = mine == right
        quiet += "<tool_call>" not in o
        ex += good; near += close
        if not (good or close): wrong.append(dict(asked=ms[-1]["content"][:400], right=t[:300], said=o[:300]))
    m = max(1, len(cs))
    res = dict(n=len(cs), exact=round(ex / m, 4), near=round(near / m, 4))
    if k == "tool_call": res |= dict(tool=round(tool / m, 4), arguments=round(args / m, 4))
    if k in ("tool_decline", "tool_chat"): res |= dict(no_call=round(quiet / m, 4))
    return dict(res, wrong=wrong)

def generate(model, tok, prompts, limit, temperature=0.0, seed=0, deadline=None, half=False, most=384):
    """Continues lists of token ids, batched, with a key and value cache; gives texts. Prompts are padded on the left."""
    import torch
    dev, texts = model.cos.device, [""] * len(prompts)
    gen = torch.Generator(device=dev).manual_seed(seed)
    order = sorted((i for i, p in enumerate(prompts) if len(p) < model.c.max_position_embeddings), key=lambda i: len(prompts[i]))
    while order:
        longest = len(prompts[order[min(most, len(order)) - 1]])
        n = min(most, max(1, 10 ** 8 // (longest * (longest + limit))))  # bounds the attention matrix
        part, order = order[:n], order[n:]
        if deadline and time.time() > deadline: break
        for i, row in zip(part, continuations(model, tok, [prompts[i] for i in part], limit, temperature, gen, deadline, half)): texts[i] = row
    return texts

def continuations(model, tok, prompts, limit, temperature, gen, deadline, half):
    """One batch of generate()."""
    import torch
    import torch.nn.functional as F
    dev, c = model.cos.device, model.c
    kind = torch.bfloat16 if half else torch.float32
    end = [tok.token_to_id(IM_END), tok.token_to_id(EOT)]; ends = torch.tensor(end, device=dev)
    B, P = len(prompts), max(map(len, prompts)); T = min(P + limit, c.max_position_embeddings)
    start = torch.tensor([P - len(p) for p in prompts], device=dev)
    x = torch.tensor([[0] * (P - len(p)) + p for p in prompts], device=dev)
    cache = torch.zeros(c.num_hidden_layers, 2, B, c.num_key_value_heads, T, c.head_dim, device=dev, dtype=kind)
    kv, rep = c.num_key_value_heads, c.num_attention_heads // c.num_key_value_heads
    def attention(layer, lo, hi, hidden):
        keys, values = cache[layer]
        def attend(q, k, v):  # over the whole cache, so that every step has the same shapes
            n = hi - lo
            keys[:, :, lo:hi], values[:, :, lo:hi] = (y.view(B, n, kv, -1).transpose(1, 2) for y in (k, v))
            q = q.view(B, n, kv, rep, -1).permute(0, 2, 3, 1, 4).reshape(B, kv, rep * n, -1)
            s = (q @ keys.transpose(-1, -2)).view(B, kv, rep, n, T).float() * c.head_dim ** -0.5
            p = s.masked_fill(hidden[:, None, None], float("-inf")).softmax(-1).to(kind).view(B, kv, rep * n, T)
            return (p @ values).view(B, kv, rep, n, -1).permute(0, 3, 1, 2, 4).reshape(B * n, -1)
        return attend
    columns = torch.arange(T, device=dev)
    new, lo, hi, done = [], 0, P, torch.zeros(B, dtype=torch.bool, device=dev)
    with torch.no_grad(), torch.autocast(dev.type, torch.bfloat16, enabled=half):
        while True:
            rows = torch.arange(lo, hi, device=dev)
            hidden = ((columns < start[:, None])[:, None, :] | (columns > rows[:, None])) & (columns != rows[:, None])  # a padded row sees itself, so that none is empty
            pos = (rows - start[:, None]).clamp(min=0)
            h = model.hidden(x.reshape(-1), pos.reshape(-1), [attention(l, lo, hi, hidden) for l in range(c.num_hidden_layers)], kind)
            logits = model.logits(h.view(B, hi - lo, -1)[:, -1]).float()
            nx = logits.argmax(-1) if temperature == 0 else torch.multinomial(F.softmax(logits / temperature, -1), 1, generator=gen)[:, 0]
            done |= torch.isin(nx, ends); new.append(nx); x = nx[:, None]
            if len(new) == limit or hi >= T or (len(new) % 8 == 0 and (bool(done.all()) or (deadline and time.time() > deadline))): break
            lo, hi = hi, hi + 1
    return [tok.decode(row[:next((j for j, t in enumerate(row) if t in end), len(row))], skip_special_tokens=False) for row in torch.stack(new, 1).tolist()]

def load(folder, device="cpu"):
    """The model and the tokenizer of an exported folder."""
    from dataclasses import fields
    from safetensors.torch import load_file
    from tokenizers import Tokenizer
    from model import Config, Model
    shape = json.load(open(os.path.join(folder, "config.json")))
    m = Model(Config(**{f.name: shape[f.name] for f in fields(Config)}))
    m.load_state_dict({k: v.float() for k, v in load_file(os.path.join(folder, "model.safetensors")).items()})
    return m.to(device).eval(), Tokenizer.from_file(os.path.join(folder, "tokenizer.json"))

def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--model", default="out"); ap.add_argument("--n", type=int, default=100); ap.add_argument("--seed", default="1"); ap.add_argument("--threads", type=int, default=1)
    ap.add_argument("--device", default="cpu"); ap.add_argument("--json", default=""); ap.add_argument("--only", default=""); ap.add_argument("--show", type=int, default=0)
    a = ap.parse_args()
    import torch
    torch.set_num_threads(a.threads)
    m, tok = load(a.model, a.device)
    res = {}
    for k in names():
        if a.only and k not in a.only.split(","): continue
        outs = generate(m, tok, prompts(k, a.seed, a.n, os.path.join(a.model, "tokenizer.json")), limit_of(k), most=64)
        res[k] = score(k, a.seed, a.n, outs); wrong = res[k].pop("wrong")
        print(k, res[k], flush=True)
        for w in wrong[:a.show]: print("  ", json.dumps(w, ensure_ascii=False))
    mean = {x: round(sum(v[x] for v in res.values()) / len(res), 4) for x in ("exact", "near")}
    print("mean over skills", mean)
    if a.json: json.dump(dict(per_skill=res, mean=mean, n=a.n, seed=a.seed), open(a.json, "w"), indent=1)

if __name__ == "__main__":
    main()
