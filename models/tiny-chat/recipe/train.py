"""Trains the model within a given time, exports it and scores it. See README.md.

The rate follows the clock: it warms up, holds, and falls to zero at the end of
the training seconds, however fast the machine is.
"""
import argparse, json, os, sys, time, traceback
T0 = time.time()
os.environ.setdefault("PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True")
from batches import Stream, batch, workers

ap = argparse.ArgumentParser()
ap.add_argument("--out", default="out", help="folder for the weights, the log and the scores")
ap.add_argument("--tokenizer", default=os.path.join(os.path.dirname(os.path.abspath(__file__)), "tokenizer"))
ap.add_argument("--device", default="cpu"); ap.add_argument("--dtype", default="fp32", choices=["fp32", "bf16"])
ap.add_argument("--seconds", type=float, default=3600, help="from the start of the program to its end, export and scoring included")
ap.add_argument("--after", type=float, default=30, help="seconds kept for export and scoring")
ap.add_argument("--hidden", type=int, default=256); ap.add_argument("--ffn", type=int, default=768); ap.add_argument("--layers", type=int, default=8)
ap.add_argument("--heads", type=int, default=4); ap.add_argument("--kv-heads", type=int, default=2); ap.add_argument("--context", type=int, default=2048)
ap.add_argument("--batch-tokens", type=int, default=49152); ap.add_argument("--group-tokens", type=int, default=8192)
ap.add_argument("--lr", type=float, default=8e-3); ap.add_argument("--adam-lr", type=float, default=4e-3); ap.add_argument("--wd", type=float, default=0.05)
ap.add_argument("--warmup", type=int, default=100); ap.add_argument("--hold", type=float, default=0.35, help="share of the training at the full rate")
ap.add_argument("--prompt-rate", type=float, default=0.05, help="share of prompt tokens that count in the loss")
ap.add_argument("--seed", type=int, default=3); ap.add_argument("--workers", type=int, default=1); ap.add_argument("--threads", type=int, default=1)
ap.add_argument("--chunk", type=int, default=2000, help="dialogues a worker makes at once")
ap.add_argument("--init", default="", help="folder of an exported model whose weights training starts from")
ap.add_argument("--n", type=int, default=100, help="held-out prompts a skill in the final scoring")
ap.add_argument("--probe", action="store_true", help="first measure the speed at several batch sizes")

def say(*parts):
    print(f"[{time.time() - T0:6.1f} s]", *parts, flush=True)

class Trainer:
    def __init__(self, a, model, stream, device):
        import numpy as np, torch
        from optim import Muon
        self.a, self.model, self.stream, self.device, self.torch, self.np = a, model, stream, device, torch, np
        named = list(model.named_parameters())
        mats = [p for k, p in named if p.dim() == 2 and "embed" not in k]
        self.rest = [p for k, p in named if p.dim() != 2 or "embed" in k]
        self.half = a.dtype == "bf16"
        self.muon = Muon(mats, a.lr, weight_decay=a.wd, dtype=torch.bfloat16 if self.half else torch.float32)
        self.adam = torch.optim.AdamW(self.rest, lr=a.adam_lr, betas=(0.9, 0.95), weight_decay=0.0)
        self.rng = np.random.default_rng(a.seed)
        self.rate = 1.0  # halved when the loss is lost

    def load(self, gs, prompt_rate):
        ids, positions, shapes, at, target, mine = batch(gs, prompt_rate, self.rng)
        move = lambda x: self.torch.from_numpy(x).pin_memory().to(self.device, non_blocking=True) if self.device.type == "cuda" else self.torch.from_numpy(x)
        return move(ids), move(positions), shapes, move(at), move(target), move(mine)

    def loss(self, gs, prompt_rate):
        """The mean loss over the tokens that count, the mean over the model's own words, and the number of tokens."""
        import torch.nn.functional as F
        from model import causal
        torch = self.torch
        ids, positions, shapes, at, target, mine = self.load(gs, prompt_rate)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
            h = self.model.hidden(ids, positions, lambda q, k, v: causal(q, k, v, shapes), torch.bfloat16 if self.half else None)
            logits = self.model.logits(h.index_select(0, at))
        l = F.cross_entropy(logits.float(), target, reduction="none")
        own = (l.detach() * mine).sum() / mine.sum()
        return l.mean(), own, len(ids)

    def step(self, n_groups, scale):
        loss, own, tokens = self.loss(self.stream.take(n_groups), self.a.prompt_rate)
        loss.backward()
        self.torch.nn.utils.clip_grad_norm_(self.rest, 1.0)
        self.muon.step(scale * self.rate)
        for g in self.adam.param_groups: g["lr"] = self.a.adam_lr * scale * self.rate
        self.adam.step()
        self.model.zero_grad(set_to_none=True)
        return own, tokens

    def wait(self):
        if self.device.type == "cuda": self.torch.cuda.synchronize()

    def probe(self):
        """Prints the speed at several batch sizes; the steps are too short to change the weights."""
        for n in (2, 4, 6, 8, 12):
            for _ in range(3): self.step(n, 1e-4)
            self.wait(); t, tokens = time.time(), 0
            for _ in range(8): tokens += self.step(n, 1e-4)[1]
            launched = time.time() - t; self.wait(); d = time.time() - t
            say(f"probe: {n} groups, {d / 8 * 1e3:.1f} ms a step ({launched / 8 * 1e3:.1f} ms to launch it), {tokens / d:.0f} tokens/s")

    def run(self, until, log, save):
        a, torch = self.a, self.torch
        start = saved = last = time.time(); step = seen = since = failed = 0; owns = []
        n = max(1, round(a.batch_tokens / a.group_tokens))
        good = {k: v.clone() for k, v in self.model.state_dict().items()}
        while True:
            progress = (time.time() - start) / (until - start)
            if progress >= 1: break
            scale = min(1.0, (step + 1) / a.warmup) * min(1.0, max(0.005, (1 - progress) / (1 - a.hold)))
            try: own, tokens = self.step(n, scale)
            except Exception:
                failed += 1; traceback.print_exc()
                if failed > 20: break
                self.model.zero_grad(set_to_none=True); continue
            owns.append(own); step += 1; seen += tokens; since += tokens
            if step % 20 == 0: self.wait()  # so that the clock is the device's
            if step % 100 == 0 or time.time() - last > 10:
                mean = float(torch.stack(owns).mean()); owns = []
                now = time.time(); log.append(dict(step=step, tokens=seen, seconds=round(now - start, 1), loss=round(mean, 5), scale=round(scale, 4)))
                say(f"step {step} tokens {seen} loss {mean:.4f} tokens/s {since / (now - last):.0f} scale {scale:.3f} groups waiting {len(self.stream.fresh)} reused {self.stream.reused}")
                last, since = now, 0
                if mean != mean or mean > 12:  # lost: back to the last good weights, at half the rate
                    self.model.load_state_dict(good); self.muon.forget(); self.adam.state.clear(); self.rate *= 0.5
                    say("loss lost, rate halved")
                elif now - saved > 20:
                    good = {k: v.clone() for k, v in self.model.state_dict().items()}
                    if now - saved > 60: save(); saved = now
        self.wait()
        return step, seen

def main():
    a = ap.parse_args()
    end = T0 + a.seconds
    os.makedirs(a.out, exist_ok=True)
    pool = workers(a.workers)  # they begin while torch is still being imported
    stream = Stream(pool, a.workers, (a.seed, a.chunk, a.context, a.group_tokens, os.path.join(a.tokenizer, "tokenizer.json")))
    import numpy, torch
    from tokenizers import Tokenizer
    from export import write_folder
    from model import Config, Model
    import evaluate
    say("imports done, torch", torch.__version__)
    torch.set_num_threads(a.threads); torch.manual_seed(a.seed)
    torch.backends.cuda.matmul.allow_tf32 = True
    torch.backends.cuda.enable_cudnn_sdp(False)  # it plans anew for each shape, and groups have many shapes
    device = torch.device(a.device)
    tok = Tokenizer.from_file(os.path.join(a.tokenizer, "tokenizer.json"))
    c = Config(vocab_size=tok.get_vocab_size(), hidden_size=a.hidden, intermediate_size=a.ffn, num_hidden_layers=a.layers, num_attention_heads=a.heads, num_key_value_heads=a.kv_heads, max_position_embeddings=a.context)
    model = Model(c)
    if a.init:
        from safetensors.torch import load_file
        model.load_state_dict({k: v.float() for k, v in load_file(os.path.join(a.init, "model.safetensors")).items()})
    model.to(device)
    say("parameters", sum(p.numel() for p in model.parameters()))
    log = []
    def save():
        write_folder(model, c, a.out, a.tokenizer)
        json.dump(log, open(os.path.join(a.out, "log.json"), "w"))
        say("saved")
    # prompts for the scoring are made by the workers now, so that they lie ready
    jobs = {k: pool.apply_async(evaluate.prompts, (k, "1", a.n, os.path.join(a.tokenizer, "tokenizer.json"))) for k in evaluate.names()} if a.n else {}
    trainer = Trainer(a, model, stream, device)
    try:
        if a.probe: trainer.probe()
        if device.type == "cuda": say(f"most memory {torch.cuda.max_memory_allocated() / 1e9:.1f} GB")
        say("training starts")
        step, seen = trainer.run(end - a.after, log, save)
        say(f"trained {step} steps, {seen} tokens")
    except Exception:
        traceback.print_exc()
    save()
    try:
        with torch.no_grad():
            model.load_state_dict({k: v.to(torch.bfloat16).float() for k, v in model.state_dict().items()})  # what the file holds
        res = {}
        ids = {k: j.get(60) for k, j in jobs.items()}
        say("prompts ready", sum(map(len, ids.values())))
        def keep():
            json.dump(dict(per_skill=res, n=a.n, seed="1"), open(os.path.join(a.out, "scores.json"), "w"), indent=1)
        for ks in evaluate.rounds(list(jobs)):
            left = end - time.time()
            if left < 3: say("no time to score", ks); continue
            outs = evaluate.generate(model, tok, [x for k in ks for x in ids[k]], evaluate.limit_of(ks[0]), deadline=time.time() + left - 2, half=trainer.half)
            say("generated", len(outs))
            waiting = {}
            for k in ks:
                mine, outs = outs[:len(ids[k])], outs[len(ids[k]):]
                waiting[k] = pool.apply_async(evaluate.score, (k, "1", a.n, mine))
            for k, w in waiting.items():
                res[k] = w.get(30); say(k, {x: v for x, v in res[k].items() if x != "wrong"})
            keep()
    except Exception:
        traceback.print_exc()
    pool.terminate()
    say("done")

if __name__ == "__main__":
    main()
