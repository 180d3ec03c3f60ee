/** A scheduler at work on a fake model, with all that it must keep to checked after every event. */

import * as assert from 'uvu/assert';
import { Scheduler } from '../../engine/scheduler.ts';
import { Sequence } from '../../engine/sequence.ts';
import type { Step } from '../../engine/step-builder.ts';
import { argmax, FakeModel, greedyAlone, hashLogits } from './fake-model.ts';

const VOCABULARY = 23;

export interface SubmitOptions {
  readonly allLogits?: boolean;
  /** Prompts of the same family begin alike; by default each has its own. */
  readonly family?: number;
  readonly priority?: number;
  readonly cacheSalt?: string;
  /** It becomes two, then three, that go on together or not at all, one of them replaced now and then, like beams. */
  readonly inLockstep?: boolean;
  /** How many of each three drafted tokens are right; none are drafted by default. */
  readonly rightDrafts?: number;
}

/** A scheduler with a fake model, and every sequence that it was ever given. */
export class Workbench {
  readonly model: FakeModel;
  readonly scheduler: Scheduler;
  readonly sequences: Sequence[] = [];
  /** How each sequence ended; set once. */
  readonly ends = new Map<Sequence, 'length' | 'cancelled' | 'failed' | 'replaced'>();
  /** What the logits of each position said comes next. */
  readonly predictions = new Map<Sequence, Map<number, number>>();
  /** How many of the tokens were given: the prompt, and for a fork what it has of its parent and the next one. */
  readonly given = new Map<Sequence, number>();
  readonly groups = new Map<Sequence, Sequence[]>();
  readonly drafts = new Map<Sequence, number>();
  step: Step | undefined;
  copies = 0;
  acceptedDrafts = 0;

  constructor(limits: { kvBlocks: number; maxRows: number; maxSeqs: number; maxLogitRows: number }) {
    this.model = new FakeModel({ vocabSize: VOCABULARY, maxModelLen: 1024, ...limits });
    this.scheduler = new Scheduler(this.model);
  }

  submit(promptLength: number, newTokens: number, options: SubmitOptions = {}): Sequence {
    const { allLogits, family = this.sequences.length, inLockstep, rightDrafts, ...more } = options;
    const room = this.scheduler.capacity;
    const prompt = Array.from({ length: Math.min(promptLength, room) }, (_, i) => (family * 7 + i * 3) % VOCABULARY);
    const maxLength = allLogits ? prompt.length : Math.min(prompt.length + newTokens, room);
    const sequence = new Sequence(prompt, maxLength, { logitsFrom: allLogits ? 0 : undefined, ...more });
    this.scheduler.submit(sequence);
    this.sequences.push(sequence);
    this.predictions.set(sequence, new Map());
    this.given.set(sequence, prompt.length);
    if (inLockstep && !allLogits) this.groups.set(sequence, [sequence]);
    if (rightDrafts !== undefined) this.drafts.set(sequence, rightDrafts);
    return sequence;
  }

  begin(): void {
    this.step ??= this.scheduler.plan();
  }

  finish(): void {
    const step = this.step;
    if (!step) return;
    this.step = undefined;
    this.copies += step.input.copies?.length ?? 0;
    const logits = this.model.forwardSync(step.input);
    this.scheduler.commit(step);
    for (const { sequence, firstLogitRow, logitRows } of step.parts) {
      if (sequence.state !== 'running' || logitRows === 0) continue;
      const rows = logits.subarray(firstLogitRow * VOCABULARY, (firstLogitRow + logitRows) * VOCABULARY);
      this.#takeLogits(sequence, rows, logitRows);
    }
  }

  #takeLogits(sequence: Sequence, logits: Float32Array, rows: number): void {
    const first = sequence.computed - rows + sequence.onTrial.length;
    for (let i = 0; i < rows; i++) {
      const position = first + i;
      assert.not(this.predictions.get(sequence)!.has(position), 'the logits of a position came twice');
      this.predictions.get(sequence)!.set(position, argmax(logits.subarray(i * VOCABULARY, (i + 1) * VOCABULARY)));
      if (position < sequence.computed - 1) continue;
      const group = this.groups.get(sequence);
      if (sequence.tokens.length === sequence.maxLength) this.end(sequence, 'length');
      else if (group) this.#advance(group);
      if (group || sequence.state === 'settled') return;
      if (!sequence.append(this.predictions.get(sequence)!.get(position)!)) break;
      this.acceptedDrafts++;
    }
    if (sequence.wantsLogits) this.#propose(sequence);
  }

  /** Three tokens of which the first ones are right; the last token that the sequence may have is never drafted. */
  #propose(sequence: Sequence): void {
    const right = this.drafts.get(sequence);
    if (right === undefined) return;
    const { length } = sequence.tokens;
    const next = greedyAlone(sequence.tokens, length + 3, VOCABULARY).slice(length);
    sequence.propose(next.map((token, i) => (i < right ? token : (token + 1) % VOCABULARY)));
  }

  /** The members of a group whose logits have all come get their next tokens. */
  #advance(group: Sequence[]): void {
    const live = group.filter(({ state }) => state !== 'settled');
    const next = (member: Sequence) => this.predictions.get(member)!.get(member.tokens.length - 1);
    if (live.some((member) => next(member) === undefined)) return;
    const [parent] = live;
    if (live.length === 3) this.end(live[2], 'replaced');
    const child = this.scheduler.fork(parent);
    this.sequences.push(child);
    this.groups.set(child, group);
    this.predictions.set(child, new Map(this.predictions.get(parent)));
    group.push(child);
    for (const member of group.filter(({ state }) => state !== 'settled')) {
      member.append(member === child ? (next(member)! + 1) % VOCABULARY : next(member)!);
    }
    this.given.set(child, child.tokens.length);
  }

  runStep(): void {
    this.begin();
    this.finish();
  }

  fail(): void {
    const step = this.step;
    if (!step) return;
    this.step = undefined;
    this.scheduler.abandon(step);
    for (const { sequence } of step.parts) if (sequence.state !== 'settled') this.end(sequence, 'failed');
  }

  end(sequence: Sequence, how: 'length' | 'cancelled' | 'failed' | 'replaced'): void {
    const first = this.scheduler.settle(sequence);
    assert.is(first, !this.ends.has(sequence), 'a sequence ended twice, or not at all');
    if (!first) return;
    this.ends.set(sequence, how);
    if (how === 'length' || how === 'replaced') return;
    for (const member of this.groups.get(sequence) ?? []) if (member.state !== 'settled') this.end(member, how);
  }

  check(): void {
    const { running, waiting, freeBlocks, cachedBlocks, totalBlocks } = this.scheduler.stats;
    const held = new Set(this.sequences.flatMap((sequence) => sequence.blockTable));
    assert.is(freeBlocks + held.size, totalBlocks, 'a block leaked');
    assert.ok(cachedBlocks <= freeBlocks);
    assert.is(running, this.sequences.filter(({ state }) => state === 'running').length);
    assert.is(waiting, this.sequences.filter(({ state }) => state === 'waiting').length);
    for (const sequence of this.sequences) {
      const { blockTable, computed, tokens, state } = sequence;
      assert.is(new Set(blockTable).size, blockTable.length, 'a block is twice in a table');
      if (state !== 'running') assert.is(blockTable.length, 0);
      else assert.ok(blockTable.length * 16 >= computed);
      if (state === 'running' && !this.step) {
        const content = blockTable.flatMap((block) => [...this.model.cache.subarray(block * 16, block * 16 + 16)]);
        assert.equal(content.slice(0, computed), tokens.slice(0, computed), 'a block has not what it should have');
      }
      assert.is(state === 'settled', this.ends.has(sequence));
    }
  }

  /** Older sequences of the same priority run first. */
  checkOrder(): void {
    const states = this.sequences.map(({ state }) => state).filter((state) => state !== 'settled');
    assert.not(states.slice(states.indexOf('waiting') + 1 || states.length).includes('running'), 'somebody overtook');
  }

  drain(): void {
    for (let steps = 0; this.scheduler.stats.running + this.scheduler.stats.waiting > 0; steps++) {
      assert.ok(steps < 20_000, 'the sequences do not come to an end');
      this.begin();
      assert.ok(this.step, 'there is work, but no step');
      this.finish();
      this.check();
    }
  }

  checkTexts(): void {
    for (const sequence of this.sequences) {
      const { tokens, maxLength } = sequence;
      const alone = greedyAlone(tokens.slice(0, this.given.get(sequence)), maxLength, VOCABULARY);
      assert.equal(tokens, alone.slice(0, tokens.length));
      if (this.ends.get(sequence) === 'length') assert.is(tokens.length, maxLength);
      for (const [position, token] of this.predictions.get(sequence)!) {
        assert.is(token, argmax(hashLogits(tokens.slice(0, position + 1), VOCABULARY)));
      }
    }
  }
}
