"""Trains the model. Deterministic in its data by seed; the schedule follows steps or minutes, whichever ends first.

CPU:  python train.py --minutes 60
GPU:  python train.py --device cuda --steps 20000 --hidden 256 --layers 8 --ffn 704 --batch-tokens 32768 --dtype bf16
"""
import argparse, json, math, os, random, time
import tempfile
import numpy as np, torch
import torch.distributed as dist
import torch.nn.functional as F
from multiprocessing import Pool
from safetensors.torch import load_file
from tokenizers import Tokenizer
from data import *
from model import Config, Model
from optim import Muon

ap = argparse.ArgumentParser()
ap.add_argument("--out", default="out"); ap.add_argument("--device", default="cpu"); ap.add_argument("--dtype", default="fp32")
ap.add_argument("--steps", type=int, default=100000); ap.add_argument("--minutes", type=float, default=1e9)
ap.add_argument("--hidden", type=int, default=192); ap.add_argument("--ffn", type=int, default=512); ap.add_argument("--layers", type=int, default=6)
ap.add_argument("--heads", type=int, default=4); ap.add_argument("--kv-heads", type=int, default=2)
ap.add_argument("--batch-tokens", type=int, default=3072); ap.add_argument("--context", type=int, default=1024)
ap.add_argument("--lr", type=float, default=4e-3); ap.add_argument("--adam-lr", type=float, default=4e-3); ap.add_argument("--wd", type=float, default=0.05)
ap.add_argument("--prompt-rate", type=float, default=0.05, help="share of prompt tokens that count in the loss")
ap.add_argument("--seed", type=int, default=2); ap.add_argument("--threads", type=int, default=2); ap.add_argument("--workers", type=int, default=0)
ap.add_argument("--save-minutes", type=float, default=4); ap.add_argument("--compile", action="store_true"); ap.add_argument("--resume", action="store_true")
ap.add_argument("--init", default="", help="folder of an exported model whose weights training starts from")
ap.add_argument("--hold", type=float, default=0.3, help="share of the schedule at the full rate; with 0 the rate falls from the start (a cooldown)")
ap.add_argument("--new-clock", action="store_true", help="with --resume: keep the weights, start the schedule anew")
ap.add_argument("--procs", type=int, default=1, help="data-parallel processes of --threads each (CPU)")
ap.add_argument("--chunk", type=int, default=400, help="dialogues generated at once")

TOK = None
def chunk(job):
    """A list of encoded dialogues; depends only on the seed and the chunk's number."""
    global TOK
    seed, i, n, ctx, path = job
    if TOK is None: TOK = Tokenizer.from_file(path)
    r = random.Random(f"{seed}/{i}")
    out = []
    for _ in range(n):
        ids, own = encode(TOK, dialogue(r))
        if len(ids) <= ctx: out.append((ids, own))
    return out

def batches(a, start=0, pool=None, stride=1, count=None):
    """Batches of about batch-tokens tokens, each of dialogues of like length, in shuffled order."""
    i = start
    path = os.path.join(a.out, "tokenizer.json")
    ahead = []
    while True:
        if pool:
            while len(ahead) < 2 * a.workers:
                ahead.append(pool.apply_async(chunk, ((a.seed, i, a.chunk, a.context, path),))); i += stride
            ds = ahead.pop(0).get()
        else:
            ds = chunk((a.seed, i, a.chunk, a.context, path)); i += stride
        if count: count[0] = i + stride  # where a resumed run starts
        ds.sort(key=lambda d: len(d[0]))
        bs, cur, longest = [], [], 0
        for d in ds:
            longest = max(longest, len(d[0]))
            if cur and longest * (len(cur) + 1) > a.batch_tokens:
                bs.append(cur); cur, longest = [], len(d[0])
            cur.append(d)
        if cur: bs.append(cur)
        random.Random(f"{a.seed}/order/{i}").shuffle(bs)
        for b in bs:
            T = max(len(d[0]) for d in b)
            ids = np.zeros((len(b), T), np.int64); own = np.full((len(b), T), -1, np.int8)
            for k, (x, w) in enumerate(b):
                ids[k, :len(x)] = x; own[k, :len(x)] = w
            yield torch.from_numpy(ids), torch.from_numpy(own)

def loss_of(model, hid, ids, own, rate, g=None):
    x, y, w = ids[:, :-1], ids[:, 1:].reshape(-1), own[:, 1:].reshape(-1)
    keep = w == 1
    if rate: keep |= (w == 0) & (torch.rand(w.shape, generator=g) < rate).to(w.device)
    idx = keep.nonzero().squeeze(1)
    h = hid(x).reshape(-1, model.c.hidden_size)[idx]
    mine = (w[idx] == 1)
    l = F.cross_entropy(model.logits(h).float(), y[idx], reduction="none")
    return l.mean(), l[mine].detach().mean(), int(mine.sum())

def main():
    a = ap.parse_args()
    if a.procs > 1:
        with tempfile.TemporaryDirectory() as d:
            torch.multiprocessing.spawn(work, (a, d), nprocs=a.procs)
    else:
        work(0, a, None)

def work(rank, a, meet):
    world = a.procs
    if world > 1: dist.init_process_group("gloo", init_method=f"file://{meet}/store", rank=rank, world_size=world)
    pool = Pool(a.workers) if a.workers else None  # before the device is touched
    torch.set_num_threads(a.threads); torch.manual_seed(a.seed)
    dev = torch.device(a.device)
    tok = Tokenizer.from_file(os.path.join(a.out, "tokenizer.json"))
    c = Config(vocab_size=tok.get_vocab_size(), hidden_size=a.hidden, intermediate_size=a.ffn, num_hidden_layers=a.layers, num_attention_heads=a.heads, num_key_value_heads=a.kv_heads, max_position_embeddings=a.context)
    m = Model(c).to(dev)
    json.dump(c.__dict__, open(os.path.join(a.out, "shape.json"), "w"))
    if rank == 0: print("parameters", sum(p.numel() for p in m.parameters()), flush=True)
    mats = [p for k, p in m.named_parameters() if p.dim() == 2 and "embed" not in k]
    rest = [p for k, p in m.named_parameters() if p.dim() != 2 or "embed" in k]
    if a.init: m.load_state_dict({k: v.float() for k, v in load_file(os.path.join(a.init, "model.safetensors")).items()})
    muon = Muon(mats, a.lr, weight_decay=a.wd, rank=rank, world=world, dtype=torch.bfloat16 if a.dtype == "bf16" else torch.float32)
    adam = torch.optim.AdamW(rest, lr=a.adam_lr, betas=(0.9, 0.95), weight_decay=0.0)
    step, done_s, first, seen = 0, 0.0, 0, 0
    path = os.path.join(a.out, "ckpt.pt")
    if a.resume and os.path.exists(path):
        s = torch.load(path, map_location=dev, weights_only=False)
        m.load_state_dict(s["model"]); muon.load_state_dict(s["muon"]); adam.load_state_dict(s["adam"]); step, done_s = s["step"], s["seconds"]; first = 100000 + s["chunks"]; seen = s["tokens"]
        if a.new_clock: step, done_s = 0, 0.0
    hid = torch.compile(m.hidden, dynamic=True) if a.compile else m.hidden
    cast = torch.autocast(a.device, torch.bfloat16, enabled=a.dtype == "bf16")
    g = torch.Generator().manual_seed(a.seed + rank)
    t0 = time.time() - done_s; last = saved = time.time(); toks = 0; hist = []
    vg = batches(argparse.Namespace(**{**vars(a), "seed": f"val{a.seed}", "chunk": 120}))
    val = [next(vg) for _ in range(6)]
    prog, count = 0.0, [first]
    for ids, own in batches(a, first + rank, pool, world, count):
        if world == 1: prog = max(step / a.steps, (time.time() - t0) / 60 / a.minutes)
        if prog >= 1: break
        scale = min(1.0, (step + 1) / 80) * (1.0 if prog < a.hold else max(0.01, (1 - prog) / (1 - a.hold)))
        with cast:
            loss, own_loss, n = loss_of(m, hid, ids.to(dev), own.to(dev), a.prompt_rate, g)
        loss.backward()
        if world > 1:  # average the gradients; the clock is the first process's
            ps = list(m.parameters())
            now = max(step / a.steps, (time.time() - t0) / 60 / a.minutes) if rank == 0 else 0.0
            flat = torch.cat([p.grad.reshape(-1) for p in ps] + [torch.tensor([now * world])])
            dist.all_reduce(flat); flat /= world
            prog, o = float(flat[-1]), 0
            for p in ps:
                p.grad.copy_(flat[o:o + p.numel()].view_as(p)); o += p.numel()
        torch.nn.utils.clip_grad_norm_(rest, 1.0)
        muon.step(scale)
        for q in adam.param_groups: q["lr"] = a.adam_lr * scale
        adam.step()
        for p in m.parameters(): p.grad = None
        step += 1; toks += ids.numel() * world; seen += ids.numel() * world; hist.append(own_loss.item())
        if step % 25 == 0 and rank == 0:
            now = time.time()
            print(f"step {step} tokens {seen} progress {prog:.3f} loss {np.mean(hist[-25:]):.4f} tok/s {toks/(now-last):.0f} scale {scale:.3f} min {(now-t0)/60:.1f}", flush=True)
            last, toks = now, 0
        if rank == 0 and time.time() - saved > a.save_minutes * 60:
            saved = time.time(); save(a, m, muon, adam, step, seen, count[0], time.time() - t0, path, dev, val)
    if rank == 0: save(a, m, muon, adam, step, seen, count[0], time.time() - t0, path, dev, val)

def save(a, m, muon, adam, step, seen, chunks, secs, path, dev, val):
    with torch.no_grad():
        ls = [loss_of(m, m.hidden, i.to(dev), o.to(dev), 0) for i, o in val]
    v = sum(l[1].item() * l[2] for l in ls) / sum(l[2] for l in ls)
    print(f"held-out-seed loss on answers {v:.4f} at step {step} tokens {seen}", flush=True)
    tmp = path + ".tmp"
    torch.save(dict(model=m.state_dict(), muon=muon.state_dict(), adam=adam.state_dict(), step=step, tokens=seen, chunks=chunks, seconds=secs, val=v), tmp)
    os.replace(tmp, path)

if __name__ == "__main__":
    main()
