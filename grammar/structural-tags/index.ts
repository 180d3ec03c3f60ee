/**
 * Structural tags: text that is free until a trigger, and held to a format from there to the end of a tag. The JSON is that
 * of XGrammar (docs, "Structural Tag"), which vLLM takes; its first form, `structures` and `triggers`, is taken too.
 */

import { ebnfNode } from '../ebnf.ts';
import { GrammarError } from '../errors.ts';
import {
  choice,
  either,
  type Flow,
  type FlowState,
  type FlowStep,
  literal,
  type Node,
  repeatNode,
  sequence,
  text,
} from '../ir.ts';
import { type JsonSchemaOptions, jsonSchemaNode, schemaBudget } from '../json-schema/index.ts';
import { MAX_NESTING } from '../limits.ts';
import { parseRegex } from '../regex.ts';
import { textUntil, textWithout } from './free-text.ts';
import { FormatReader } from './reader.ts';

/**
 * The texts of a structural tag.
 * @param spec `{ "type": "structural_tag", "format": … }`, parsed
 * @throws GrammarError with the place of what is malformed or not supported
 */
export function structuralTagNode(spec: unknown, options: JsonSchemaOptions = {}): Node {
  const root = new FormatReader(spec, 'structural_tag');
  if (root.has('type') && root.type !== 'structural_tag') {
    throw new GrammarError(`structural_tag.type: expected "structural_tag", found ${JSON.stringify(root.type)}`);
  }
  const tags = new StructuralTag(options);
  const node = root.has('structures') ? tags.structures(root) : tags.read(root.format('format'), [], 0).node;
  root.close();
  return node;
}

/** A format's node; `ended` when it goes on through the end of the tag that it is the content of. */
interface Content {
  readonly node: Node;
  readonly ended: boolean;
}

interface Tag {
  readonly begin: string;
  /** What follows `begin`, through the end of the tag. */
  readonly rest: Node;
}

class StructuralTag {
  readonly #options: JsonSchemaOptions;
  readonly #budget = schemaBudget();

  constructor(options: JsonSchemaOptions) {
    this.#options = options;
  }

  /** @param ends what ends the tag around the format: free text reads up to the first of them */
  read(format: FormatReader, ends: readonly string[], depth: number): Content {
    if (depth > MAX_NESTING) throw new GrammarError(`${format.place}: nested too deep`);
    const content = this.#read(format, ends, depth);
    format.close();
    return content;
  }

  #read(format: FormatReader, ends: readonly string[], depth: number): Content {
    const inner = (one: FormatReader) => this.read(one, [], depth + 1).node;
    switch (format.type) {
      case 'const_string':
        return whole(text(literal(format.text('value'))));
      case 'json_schema': {
        const style = format.has('style') ? format.text('style') : 'json';
        if (style !== 'json') throw new GrammarError(`${format.place}.style: only "json" is supported`);
        return whole(this.#schema(format, 'json_schema'));
      }
      case 'regex':
        return whole(located(format, 'pattern', () => text(parseRegex(format.text('pattern'), { match: 'whole' }))));
      case 'grammar':
        return whole(located(format, 'grammar', () => ebnfNode(format.text('grammar'))));
      case 'any_text':
        return freeText(format.texts('excludes'), ends);
      case 'sequence':
        return this.#sequence(format.formats('elements'), ends, depth);
      case 'or':
        return whole(choice(...format.formats('elements').map(inner)));
      case 'optional':
        return whole(repeatNode(inner(format.format('content')), 0, 1));
      case 'star':
        return whole(repeatNode(inner(format.format('content')), 0, Number.POSITIVE_INFINITY));
      case 'plus':
        return whole(repeatNode(inner(format.format('content')), 1, Number.POSITIVE_INFINITY));
      case 'repeat': {
        const [min, max] = [format.count('min', 0), format.count('max', Number.POSITIVE_INFINITY)];
        if (min > max) throw new GrammarError(`${format.place}.min: expected at most ${max}, found ${min}`);
        return whole(repeatNode(inner(format.format('content')), min, max));
      }
      case 'tag': {
        const { begin, rest } = this.#tag(format, depth);
        return whole(sequence(text(literal(begin)), rest));
      }
      case 'triggered_tags':
        return this.#triggered(format, ends, depth);
      case 'tags_with_separator':
        return whole(this.#separated(format, depth));
      default:
        throw new GrammarError(`${format.place}.type: ${JSON.stringify(format.type)} is not supported`);
    }
  }

  /** The first form: tags by `begin`, `schema` and `end`, between them any text. */
  structures(root: FormatReader): Node {
    const tags = root.formats('structures').map((structure) => {
      const content = this.#schema(structure, 'schema');
      const tag = { begin: structure.text('begin'), rest: withEnd(content, [structure.text('end')]) };
      structure.close();
      return tag;
    });
    const options = { atLeastOne: false, stopAfterFirst: false, excludes: [], ends: [] };
    return triggeredTags(root.texts('triggers'), tags, options, root.place).node;
  }

  #schema(format: FormatReader, name: string): Node {
    const schema = format.value(name);
    return located(format, name, () => jsonSchemaNode(schema, this.#options, this.#budget));
  }

  #tag(format: FormatReader, depth: number): Tag {
    if (format.has('type') && format.type !== 'tag') {
      throw new GrammarError(`${format.place}.type: expected "tag", found ${JSON.stringify(format.type)}`);
    }
    const begin = format.text('begin');
    const ends = format.has('end') && format.spec.end !== '' ? format.texts('end') : [];
    format.value('end');
    const { node, ended } = this.read(format.format('content'), ends, depth + 1);
    return { begin, rest: ended ? node : withEnd(node, ends) };
  }

  #tags(format: FormatReader, depth: number): Tag[] {
    return format.formats('tags').map((tag) => {
      const read = this.#tag(tag, depth);
      tag.close();
      return read;
    });
  }

  /** Free text before a fixed string goes up to the first one. */
  #sequence(elements: readonly FormatReader[], ends: readonly string[], depth: number): Content {
    const parts: Node[] = [];
    for (let i = 0; i < elements.length; i++) {
      const [element, next] = [elements[i], elements[i + 1]];
      const fixed = next && element.type === 'any_text' ? fixedStart(next) : undefined;
      if (next && fixed !== undefined) {
        parts.push(text(textUntil([fixed], element.texts('excludes'))));
        element.close();
        // The start of the next one is read.
        if (next.type === 'tag') parts.push(this.#tag(next, depth + 1).rest);
        next.close();
        i++;
      } else if (next) parts.push(this.read(element, [], depth + 1).node);
      else {
        const last = this.read(element, ends, depth + 1);
        return { node: sequence(...parts, last.node), ended: last.ended };
      }
    }
    return whole(sequence(...parts));
  }

  #triggered(format: FormatReader, ends: readonly string[], depth: number): Content {
    return triggeredTags(
      format.texts('triggers'),
      this.#tags(format, depth),
      {
        atLeastOne: format.flag('at_least_one'),
        stopAfterFirst: format.flag('stop_after_first'),
        excludes: format.texts('excludes'),
        ends,
      },
      format.place,
    );
  }

  #separated(format: FormatReader, depth: number): Node {
    const tags = this.#tags(format, depth).map(({ begin, rest }) => sequence(text(literal(begin)), rest));
    const one = choice(...tags);
    const separator = text(literal(format.text('separator')));
    const atLeastOne = format.flag('at_least_one');
    const list = format.flag('stop_after_first')
      ? one
      : sequence(one, repeatNode(sequence(separator, one), 0, Number.POSITIVE_INFINITY));
    return atLeastOne ? list : repeatNode(list, 0, 1);
  }
}

interface TriggerOptions {
  /** The text begins with a tag. */
  readonly atLeastOne: boolean;
  /** The text ends with the first tag. */
  readonly stopAfterFirst: boolean;
  readonly excludes: readonly string[];
  /** What ends the tag around. */
  readonly ends: readonly string[];
}

/** Free text, in which each trigger begins one of the tags that begin with it. */
function triggeredTags(
  triggers: readonly string[],
  tags: readonly Tag[],
  { atLeastOne, stopAfterFirst, excludes, ends }: TriggerOptions,
  place: string,
): Content {
  if (triggers.length === 0) throw new GrammarError(`${place}.triggers: expected at least one`);
  const orphan = tags.findIndex(({ begin }) => !triggers.some((trigger) => begin.startsWith(trigger)));
  if (orphan >= 0) {
    const begin = JSON.stringify(tags[orphan].begin);
    throw new GrammarError(`${place}: tag ${orphan} begins with ${begin}, which begins with none of the triggers`);
  }
  const after = stopAfterFirst ? (ends.length > 0 ? 'closing' : 'end') : 'free';
  const begun = triggers.map((trigger) =>
    choice(
      ...tags
        .filter(({ begin }) => begin.startsWith(trigger))
        .map(({ begin, rest }) => sequence(text(literal(begin.slice(trigger.length))), rest)),
    ),
  );
  const untouched = triggers.map((_, i) => i).filter((i) => !tags.some(({ begin }) => begin.startsWith(triggers[i])));
  if (untouched.length > 0) throw new GrammarError(`${place}.triggers: no tag begins with the trigger ${untouched[0]}`);
  const stops = [...triggers, ...ends];
  const free: FlowStep[] = [
    {
      match: text(textUntil(stops, excludes)),
      next: (label) => (label < triggers.length ? `tag ${label}` : 'end'),
    },
  ];
  if (ends.length === 0) free.push({ match: text(textWithout([...stops, ...excludes])), next: 'end' });
  const first = tags.map(({ begin, rest }) => ({ match: sequence(text(literal(begin)), rest), next: after }));
  const closing = ends.map((end) => ({ match: text(literal(end)), next: 'end' }));
  const flow: Flow = {
    kind: 'flow',
    start: atLeastOne ? 'first' : 'free',
    steps: (state: FlowState) => {
      if (state === 'free') return free;
      if (state === 'first') return first;
      if (state === 'closing') return closing;
      return state === 'end' ? [] : [{ match: begun[Number(String(state).slice(4))], next: after }];
    },
    ends: (state) => state === 'end',
    needs: begun,
  };
  return { node: flow, ended: ends.length > 0 };
}

/** Any text; in a tag, up to its first end. */
function freeText(excludes: readonly string[], ends: readonly string[]): Content {
  if (ends.length === 0) return whole(text(textWithout(excludes)));
  return { node: text(textUntil(ends, excludes)), ended: true };
}

function whole(node: Node): Content {
  return { node, ended: false };
}

function withEnd(content: Node, ends: readonly string[]): Node {
  if (ends.length === 0) return content;
  return sequence(content, text(either(...ends.map(literal))));
}

/** What a format begins with in any case, if it is one that begins with a fixed string. */
function fixedStart(format: FormatReader): string | undefined {
  const start =
    format.type === 'tag' ? format.text('begin') : format.type === 'const_string' ? format.text('value') : '';
  return start === '' ? undefined : start;
}

/** Errors of what a member holds, with the member's place. */
function located<T>(format: FormatReader, name: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof GrammarError) throw new GrammarError(`${format.place}.${name}: ${error.message}`);
    throw error;
  }
}
