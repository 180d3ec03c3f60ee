"""Scores the exported model on held-out prompts (never in the training data) through transformers."""
import argparse, json, random, re
import torch
import torch.nn.functional as F
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
PARTS = dict(sums=sums, spelling=only(spell, lambda e: "-" in e["s"]), yes_no=only(reading, lambda e: e["s"] in ("Yes", "No")), schema=only(extract, lambda e: "schema" in e["u"]))

def cases(seed, n):
    """skill -> list of (messages, tools, target text, check or None, short)"""
    out = {}
    for k, f in {**{k: f for k, (f, _) in SKILLS.items()}, **PARTS}.items():
        r = random.Random(f"eval/{seed}/{k}"); l = []
        for _try in range(40000):
            if len(l) == n: break
            e = f(r)
            if held_out(e["u"]) and (e["u"] not in {c[0][-1]["content"] for c in l}): l.append((chat([(e["u"], e["a"])])[:-1], None, e["a"], e.get("check"), e.get("s")))
        if l: out[k] = l
    for k, f in (("memory", memory), ("followup", followup), ("style", style)):
        r = random.Random(f"eval/{seed}/{k}"); l = []
        while len(l) < n:
            d = f(r); ms = chat(d["turns"], d.get("system"))
            if any(held_out(m["content"]) for m in ms if m["role"] == "user"): l.append((ms[:-1], None, ms[-1]["content"], None, d["s"]))
        out[k] = l
    for mode in ("call", "result", "decline", "chat"):
        r = random.Random(f"eval/{seed}/tool_{mode}"); l = []
        while len(l) < n:
            d = tool_dialogue(r, mode); ms = d["messages"]
            i = next(j for j, m in enumerate(ms) if m["role"] == "user")
            if not held_out(ms[i]["content"]): continue
            j = i + 3 if mode == "result" else i + 1
            t = assistant_text(ms[j])
            e_check = (lambda o: o in GREET or any(o in x[1] for x in TALK) or o in JOKES) if mode == "chat" and (t in GREET or any(t in x[1] for x in TALK) or t in JOKES) else None
            l.append((ms[:j], d["tools"], t, e_check, None))
        out["tool_" + mode] = l
    return out

def parsed(text):
    try: return json.loads(text)
    except ValueError: return None

def call_of(text):
    """Name and arguments of the one tool call that the text is, or nothing of either."""
    found = re.fullmatch(r"<tool_call>\n(.*)\n</tool_call>", text, re.S)
    call = parsed(found[1]) if found else None
    return call if isinstance(call, dict) and set(call) == {"name", "arguments"} else dict(name=None, arguments=None)

@torch.no_grad()
def generate(m, tok, prompts, limit, temperature=0.0, seed=0):
    """Batched generation with left padding."""
    gen = torch.Generator().manual_seed(seed)
    enc = [tok(p, add_special_tokens=False).input_ids for p in prompts]
    end = set(m.generation_config.eos_token_id)
    T = max(map(len, enc)); pad = tok.pad_token_id
    ids = torch.tensor([[pad] * (T - len(e)) + e for e in enc]); att = torch.tensor([[0] * (T - len(e)) + [1] * len(e) for e in enc])
    pos = (att.cumsum(1) - 1).clamp(min=0)
    o = m(input_ids=ids, attention_mask=att, position_ids=pos, use_cache=True, logits_to_keep=1)
    outs = [[] for _ in enc]; live = [True] * len(enc); p = pos[:, -1:]
    for _ in range(limit):
        lg = o.logits[:, -1].float()
        nx = lg.argmax(-1) if temperature == 0 else torch.multinomial(F.softmax(lg / temperature, -1), 1, generator=gen)[:, 0]
        for i, t in enumerate(nx.tolist()):
            if live[i]:
                if t in end: live[i] = False
                else: outs[i].append(t)
        if not any(live): break
        att = torch.cat([att, torch.ones(len(enc), 1, dtype=att.dtype)], 1); p = p + 1
        o = m(input_ids=nx[:, None], attention_mask=att, position_ids=p, past_key_values=o.past_key_values, use_cache=True)
    return [tok.decode(x) for x in outs]

@torch.no_grad()
def answer_loss(m, tok, items):
    s = n = 0.0
    for ms, tools, t, _, _ in items:
        p = tok(tok.apply_chat_template(ms, tools=tools, tokenize=False, add_generation_prompt=True), add_special_tokens=False).input_ids
        a = tok(t + IM_END, add_special_tokens=False).input_ids
        lg = m(torch.tensor([p + a])).logits[0, len(p)-1:-1].float()
        s += F.cross_entropy(lg, torch.tensor(a), reduction="sum").item(); n += len(a)
    return s / n

def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--model", default="out/model"); ap.add_argument("--n", type=int, default=40); ap.add_argument("--seed", default="1"); ap.add_argument("--threads", type=int, default=1)
    ap.add_argument("--json", default=""); ap.add_argument("--only", default=""); ap.add_argument("--show", type=int, default=0)
    a = ap.parse_args(); torch.set_num_threads(a.threads)
    from transformers import AutoModelForCausalLM, AutoTokenizer
    m = AutoModelForCausalLM.from_pretrained(a.model, dtype=torch.float32).eval(); tok = AutoTokenizer.from_pretrained(a.model)
    res = {}
    for k, items in cases(a.seed, a.n).items():
        if a.only and k not in a.only.split(","): continue
        prompts = [tok.apply_chat_template(ms, tools=t, tokenize=False, add_generation_prompt=True) for ms, t, *_ in items]
        outs = generate(m, tok, prompts, 260 if k == "story" else 110)
        ex = near = tool = args = 0
        for (ms, tools, t, check, s), o in zip(items, outs):
            good = bool(check(o)) if check and o else o == t
            close = good or bool(s and re.search(rf"(?<!\w){re.escape(str(s))}(?!\w)", o, re.I))
            if k in ("extract", "schema"): close = parsed(o) == parsed(t) is not None
            if k == "tool_call":
                mine, right = call_of(o), call_of(t)
                tool += mine["name"] == right["name"]; args += mine == right; close = mine == right
            ex += good; near += close
        res[k] = dict(n=len(items), exact=round(ex / len(items), 3), near=round(near / len(items), 3), loss=round(answer_loss(m, tok, items), 4))
        if k == "tool_call": res[k] |= dict(tool=round(tool / len(items), 3), arguments=round(args / len(items), 3))
        print(k, res[k], flush=True)
        shown = 0
        for (ms, tools, t, check, s), o in zip(items, outs):
            good = bool(check(o)) if check and o else o == t
            if not good and shown < a.show: shown += 1; print("   U:", ms[-1]["content"][:200].replace("\n", "/"), "\n   T:", t[:160].replace("\n", "/"), "\n   O:", o[:160].replace("\n", "/"))
    tot = {x: round(sum(v[x] for v in res.values()) / len(res), 3) for x in ("exact", "near", "loss")}
    print("mean over skills", tot)
    if a.json: json.dump(dict(per_skill=res, mean=tot, n=a.n, seed=a.seed), open(a.json, "w"), indent=1)

if __name__ == "__main__":
    main()
