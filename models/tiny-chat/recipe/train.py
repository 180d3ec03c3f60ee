"""Trains the model within a given time, exports it and scores it. See README.md.

The rate follows the clock: it warms up, holds, and falls to zero at the end of
the training seconds, however fast the machine is.
"""
import argparse, json, os, sys, time, traceback
T0 = time.time()
from batches import Stream, plan, workers

ap = argparse.ArgumentParser()
ap.add_argument("--out", default="out", help="folder for the weights, the log and the scores")
ap.add_argument("--tokenizer", default=os.path.dirname(os.path.dirname(os.path.abspath(__file__))), help="folder of the tokenizer's files; the released ones lie above this folder")
ap.add_argument("--device", default="cpu"); ap.add_argument("--dtype", default="fp32", choices=["fp32", "bf16"])
ap.add_argument("--seconds", type=float, default=3600, help="from the start of the program to its end, export and scoring included")
ap.add_argument("--after", type=float, default=30, help="seconds kept for export and scoring")
ap.add_argument("--hidden", type=int, default=256); ap.add_argument("--ffn", type=int, default=768); ap.add_argument("--layers", type=int, default=8)
ap.add_argument("--heads", type=int, default=4); ap.add_argument("--kv-heads", type=int, default=2); ap.add_argument("--context", type=int, default=2048)
ap.add_argument("--groups", type=int, default=12, help="groups of dialogues of like length in a set"); ap.add_argument("--group-tokens", type=int, default=4096)
ap.add_argument("--room", type=float, default=0.42, help="share of a batch's tokens that may count in the loss")
ap.add_argument("--lr", type=float, default=8e-3); ap.add_argument("--adam-lr", type=float, default=4e-3); ap.add_argument("--wd", type=float, default=0.05)
ap.add_argument("--warmup", type=int, default=100); ap.add_argument("--hold", type=float, default=0.35, help="share of the training at the full rate")
ap.add_argument("--prompt-rate", type=float, default=0.05, help="share of prompt tokens that count in the loss")
ap.add_argument("--seed", type=int, default=3); ap.add_argument("--workers", type=int, default=1); ap.add_argument("--threads", type=int, default=1)
ap.add_argument("--chunk", type=int, default=2000, help="dialogues a worker makes at once")
ap.add_argument("--init", default="", help="folder of an exported model whose weights training starts from")
ap.add_argument("--n", type=int, default=100, help="held-out prompts a skill in the final scoring")

def say(*parts):
    print(f"[{time.time() - T0:6.1f} s]", *parts, flush=True)

class Trainer:
    """One step on a set of groups, in place on the device; on a GPU recorded once and replayed, since launching its many small kernels takes longer than running them."""
    def __init__(self, a, model, stream, device):
        import numpy as np, torch
        from optim import Adam, Muon
        self.a, self.model, self.stream, self.device, self.torch = a, model, stream, device, torch
        named = list(model.named_parameters())
        mats = [p for k, p in named if p.dim() == 2 and "embed" not in k]
        self.rest = [p for k, p in named if p.dim() != 2 or "embed" in k]
        self.half = a.dtype == "bf16"
        self.muon = Muon(mats, a.lr, weight_decay=a.wd, dtype=torch.bfloat16 if self.half else torch.float32)
        self.adam = Adam(self.rest, a.adam_lr)
        self.rng = np.random.default_rng(a.seed)
        self.scale, self.total = torch.zeros((), device=device), torch.zeros((), device=device)
        self.rate, self.graph = 1.0, None  # the rate is halved when the loss is lost
        self.room_for(1)

    def room_for(self, sets):
        """Tensors for the batches to come, of so many sets each."""
        torch = self.torch
        self.sets, self.graph = sets, None
        self.shapes = [(b * sets, t) for b, t in self.stream.shapes]
        self.tokens = sum(b * t for b, t in self.shapes); self.room = int(self.tokens * self.a.room)
        self.positions = torch.cat([torch.arange(t).repeat(b) for b, t in self.shapes]).to(self.device)
        long, real = (dict(dtype=d, device=self.device) for d in (torch.long, torch.float32))
        self.inputs = [torch.zeros(self.tokens, **long), torch.zeros(self.room, **long), torch.zeros(self.room, **long), torch.zeros(self.room, **real), torch.zeros(self.room, **real)]

    def fill(self):
        import numpy as np
        from batches import batch
        taken = [self.stream.take() for _ in range(self.sets)]
        arrays = [np.concatenate(gs) for gs in zip(*taken)]
        for mine, x in zip(self.inputs, batch(arrays, self.a.prompt_rate, self.rng, self.room)):
            x = self.torch.from_numpy(x)
            mine.copy_(x.pin_memory() if self.device.type == "cuda" else x, non_blocking=True)

    def losses(self):
        """The loss, and the mean loss over the model's own words."""
        import torch.nn.functional as F
        from model import causal
        torch = self.torch
        ids, where, target, weight, share = self.inputs
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
            h = self.model.hidden(ids, self.positions, lambda q, k, v: causal(q, k, v, self.shapes), torch.bfloat16 if self.half else None)
            logits = self.model.logits(h.index_select(0, where))
        l = F.cross_entropy(logits.float(), target, reduction="none")
        return (l * weight).sum(), (l.detach() * share).sum()

    def compute(self):
        for p in self.model.parameters(): p.grad = None
        loss, own = self.losses()
        loss.backward()
        self.torch.nn.utils.clip_grad_norm_(self.rest, 1.0)
        self.muon.step(self.scale)
        self.adam.step(self.scale)
        self.total.add_(own)

    def record(self):
        """Records compute(); checks that a replay gives the loss that the plain way gives, and moves the weights."""
        torch = self.torch
        self.fill(); self.scale.fill_(1e-3)
        side = torch.cuda.Stream(); side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3): self.compute()
        torch.cuda.current_stream().wait_stream(side); self.wait()
        for p in self.model.parameters(): p.grad = None
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph): self.compute()
        self.fill(); self.total.zero_()
        with torch.no_grad(): plain = float(self.losses()[1].detach())
        before = self.model.model.layers[0].mlp.up_proj.weight.clone()
        graph.replay(); self.wait()
        replayed = float(self.total); moved = float((self.model.model.layers[0].mlp.up_proj.weight - before).detach().abs().max()); self.total.zero_()
        say(f"recorded: loss {replayed:.4f}, plainly {plain:.4f}; weights moved by {moved:.2e}")
        if abs(replayed - plain) > 0.02 * plain or not moved > 0: raise RuntimeError("the recorded step differs from the plain one")
        self.graph = graph

    def step(self, scale):
        self.fill(); self.scale.fill_(scale * self.rate)
        if self.graph: self.graph.replay()
        else: self.compute()

    def wait(self):
        if self.device.type == "cuda": self.torch.cuda.synchronize()

    def speed(self, steps):
        """Seconds a step, over a few steps too short to change the weights."""
        for _ in range(3): self.step(1e-3)
        self.wait(); t = time.time()
        for _ in range(steps): self.step(1e-3)
        launched = time.time() - t; self.wait(); d = time.time() - t
        say(f"{self.sets} sets, {'recorded' if self.graph else 'plain'}: {d / steps * 1e3:.1f} ms a step ({launched / steps * 1e3:.1f} ms to launch it), {self.tokens * steps / d:.0f} tokens/s")
        self.total.zero_()
        return d / steps

    def prepare(self):
        """Records the step; where that fails, larger batches the plain way keep the device busy."""
        if self.device.type != "cuda": return
        try:
            self.record()
        except Exception:
            traceback.print_exc(); say("not recorded"); self.room_for(3)
        self.speed(20)

    def run(self, until, log, save):
        a = self.a
        start = saved = kept = last = time.time(); step = seen = since = failed = counted = 0
        good = {k: v.clone() for k, v in self.model.state_dict().items()}
        while True:
            progress = (time.time() - start) / (until - start)
            if progress >= 1: break
            scale = min(1.0, (step + 1) / a.warmup) * min(1.0, max(0.003, (1 - progress) / (1 - a.hold)))
            try: self.step(scale)
            except Exception:
                failed += 1; traceback.print_exc()
                if failed > 20: break
                continue
            step += 1; counted += 1; seen += self.tokens; since += self.tokens
            if step % 10 == 0: self.wait()  # so that the clock is the device's
            if step % 200 == 0 or time.time() - last > 10:
                mean = float(self.total) / counted; self.total.zero_(); counted = 0
                now = time.time(); log.append(dict(step=step, tokens=seen, seconds=round(now - start, 1), loss=round(mean, 5), scale=round(scale, 4)))
                say(f"step {step} tokens {seen} loss {mean:.4f} tokens/s {since / (now - last):.0f} scale {scale:.3f} sets waiting {self.stream.waiting()} reused {self.stream.reused}")
                last, since = now, 0
                if not mean < 12:  # lost: back to the last good weights, at half the rate
                    self.model.load_state_dict(good); self.muon.forget(); self.adam.forget(); self.rate *= 0.5
                    say("loss lost, rate halved")
                else:
                    if now - kept > 20: good = {k: v.clone() for k, v in self.model.state_dict().items()}; kept = now
                    if now - saved > 60: save(); saved = now
        self.wait()
        if counted: log.append(dict(step=step, tokens=seen, seconds=round(time.time() - start, 1), loss=round(float(self.total) / counted, 5), scale=round(scale, 4)))
        return step, seen

def main():
    a = ap.parse_args()
    end = T0 + a.seconds
    os.makedirs(a.out, exist_ok=True)
    pool = workers(a.workers)  # they begin while torch is still being imported
    path = os.path.join(a.tokenizer, "tokenizer.json")
    shapes = plan(path, a.groups, a.group_tokens, a.context)
    stream = Stream(pool, a.workers, a.seed, a.chunk, shapes, path)
    say("groups of (dialogues, length):", shapes)
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
        trainer.prepare()
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
