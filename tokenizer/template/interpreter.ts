/**
 * Renders the syntax tree that `@huggingface/jinja` parses. The package can render too, but differs from Python's Jinja
 * where chat templates notice: values as text (`True`, `None`, `{'a': 1}`), numbers, methods of texts, filters and tests
 * that it lacks, loops with a condition, and the scope of variables. It has no limits either; here, a template that
 * works on and on or builds ever longer text is stopped.
 */

import { TokenizerError } from '../errors.ts';
import { dictOf, filterOf, type Lookup } from './filters.ts';
import { globals } from './globals.ts';
import { LoopState } from './loop.ts';
import { methodOf } from './methods.ts';
import { binary, negative } from './operators.ts';
import { SCOPE_FILTER } from './rewrites.ts';
import type {
  Block,
  CallNode,
  Expression,
  FilterNode,
  ForNode,
  MacroNode,
  Node,
  SetNode,
  SliceNode,
} from './syntax.ts';
import { testOf } from './tests.ts';
import {
  Attributes,
  bounded,
  Callable,
  contains,
  equals,
  fail,
  integerOf,
  isTrue,
  iterate,
  type Kwargs,
  keyOf,
  Lazy,
  lengthOf,
  Tuple,
  toText,
  typeName,
  type Value,
} from './values.ts';
import { beginWork, charge, comeBack, goDeeper, TEXT_PER_UNIT } from './work.ts';

/**
 * @param variables  what the template sees, by name
 * @param now  the clock of `strftime_now`
 * @throws TokenizerError  with the template's own words from `raise_exception`, else one that begins with
 * `chat template:`
 */
export function render(program: Block, variables: ReadonlyMap<string, Value>, now: Date): string {
  try {
    beginWork();
    const root = new Scope();
    for (const [name, value] of globals(now)) root.set(name, value);
    for (const [name, value] of variables) root.set(name, value);
    const output = { text: '' };
    new Interpreter().run(program, root, output);
    return output.text;
  } catch (error) {
    if (error instanceof TokenizerError) throw error;
    // Too deep a recursion, or a text beyond what the engine holds.
    throw new TokenizerError(`chat template: cannot be rendered: ${(error as Error).message}`, { cause: error });
  }
}

/** Variables by name, and the scope around them. */
class Scope {
  readonly #variables = new Map<string, Value>();
  readonly #outer: Scope | undefined;

  constructor(outer?: Scope) {
    this.#outer = outer;
  }

  get(name: string): Value {
    return this.#variables.has(name) ? this.#variables.get(name) : this.#outer?.get(name);
  }

  set(name: string, value: Value): void {
    this.#variables.set(name, value);
  }
}

interface Output {
  text: string;
}

type Jump = 'break' | 'continue' | undefined;

class Interpreter {
  readonly #lookup: Lookup = {
    attribute: (value, name) => this.#attributeOrItem(value, name),
    item: (value, key) => this.#item(value, key),
    filter: (name, value, args, kwargs) => this.#applyFilter(name, value, args, kwargs),
    add: (left, right) => binary('+', left, right),
  };

  run(block: Block, scope: Scope, output: Output): Jump {
    for (const node of block) {
      const jump = this.#statement(node, scope, output);
      if (jump) return jump;
    }
    return undefined;
  }

  #statement(node: Node, scope: Scope, output: Output): Jump {
    charge(1);
    switch (node.type) {
      case 'Set':
        this.#set(node, scope);
        return undefined;
      case 'If':
        return this.run(isTrue(this.#evaluate(node.test, scope)) ? node.body : node.alternate, scope, output);
      case 'For':
        return this.#for(node, scope, output);
      case 'Macro':
        scope.set(node.name.value, this.#macro(node, scope));
        return undefined;
      case 'CallStatement': {
        const caller = this.#macro({ args: node.callerArgs ?? [], body: node.body }, scope);
        this.#write(output, this.#call(node.call, scope, caller));
        return undefined;
      }
      case 'FilterStatement':
        this.#write(output, this.#filter(node.filter, this.#capture(node.body, scope), scope));
        return undefined;
      case 'Break':
        return 'break';
      case 'Continue':
        return 'continue';
      default:
        this.#write(output, this.#evaluate(node, scope));
        return undefined;
    }
  }

  #write(output: Output, value: Value): void {
    output.text = bounded(output.text + toText(value));
  }

  #capture(block: Block, scope: Scope): string {
    const output = { text: '' };
    this.run(block, new Scope(scope), output);
    return output.text;
  }

  #set({ assignee, value, body }: SetNode, scope: Scope): void {
    const result = value ? this.#evaluate(value, scope) : this.#capture(body, scope);
    // `{% set name | filter %}` … `{% endset %}`.
    if (assignee.type !== 'FilterExpression') this.#assign(assignee, result, scope);
    else this.#assign(assignee.operand, this.#filter(assignee.filter, result, scope), scope);
  }

  #assign(target: Expression, value: Value, scope: Scope): void {
    if (target.type === 'Identifier') {
      scope.set(target.value, value);
    } else if (target.type === 'TupleLiteral') {
      const items = [...iterate(value)];
      if (items.length !== target.value.length)
        fail(`unpacks ${items.length} values into ${target.value.length} names`);
      for (const [i, part] of target.value.entries()) this.#assign(part, items[i], scope);
    } else if (target.type === 'MemberExpression' && target.property.type === 'Identifier') {
      const object = this.#evaluate(target.object, scope);
      if (!(object instanceof Attributes) || !object.writable)
        fail('sets an attribute of something that is no namespace');
      object.writable.set(target.property.value, value);
    } else {
      fail(`cannot set a ${target.type}`);
    }
  }

  #for(node: ForNode, scope: Scope, output: Output): Jump {
    if (isScope(node.iterable)) return this.#scope(node, node.iterable.operand, scope, output);
    const isFiltered = node.iterable.type === 'SelectExpression';
    const source = this.#evaluate(isFiltered ? node.iterable.lhs : node.iterable, scope);
    const condition = isFiltered ? node.iterable.test : undefined;
    // A condition is looked at as the loop goes on, so that the body may change what it depends on.
    const items = condition ? this.#passing(source, condition, node.loopvar, scope) : iterate(source);
    const loop = new LoopState(items, condition || source instanceof Lazy ? undefined : lengthOf(source));
    const attributes = new Attributes((name) => loop.get(name));
    let isEmpty = true;
    while (loop.advance()) {
      charge(1);
      const inner = new Scope(scope);
      inner.set('loop', attributes);
      this.#assign(node.loopvar, loop.current, inner);
      const jump = this.run(node.body, inner, output);
      if (jump === 'break') break;
      if (!jump) isEmpty = false;
    }
    if (isEmpty) this.run(node.defaultBlock, new Scope(scope), output);
    return undefined;
  }

  /** `{% with %}`: the body once, with names of its own; see `withAsFor`. */
  #scope(node: ForNode, values: Expression, scope: Scope, output: Output): Jump {
    const inner = new Scope(scope);
    for (const row of iterate(this.#evaluate(values, scope))) this.#assign(node.loopvar, row, inner);
    return this.run(node.body, inner, output);
  }

  *#passing(source: Value, condition: Expression, target: Expression, scope: Scope): Generator<Value> {
    for (const item of iterate(source)) {
      charge(1);
      const inner = new Scope(scope);
      this.#assign(target, item, inner);
      if (isTrue(this.#evaluate(condition, inner))) yield item;
    }
  }

  /** A macro sees the variables of where it stands; its own arguments, `varargs`, `kwargs` and `caller` come first. */
  #macro({ args: parameters, body }: Pick<MacroNode, 'args' | 'body'>, scope: Scope): Callable {
    return new Callable((args, kwargs) => {
      const inner = new Scope(scope);
      const rest = new Map<Value, Value>(kwargs);
      for (const [i, parameter] of parameters.entries()) {
        const name = parameter.type === 'Identifier' ? parameter.value : parameter.key.value;
        const isGiven = i < args.length || rest.has(name);
        const standard = parameter.type === 'Identifier' ? undefined : parameter.value;
        inner.set(name, i < args.length ? args[i] : rest.get(name));
        if (!isGiven && standard) inner.set(name, this.#evaluate(standard, inner));
        rest.delete(name);
      }
      inner.set('caller', rest.get('caller'));
      rest.delete('caller');
      inner.set('varargs', Tuple.from(args.slice(parameters.length)));
      inner.set('kwargs', rest);
      return this.#capture(body, inner);
    });
  }

  #evaluate(node: Expression, scope: Scope): Value {
    charge(1);
    goDeeper();
    const value = this.#valueOf(node, scope);
    comeBack();
    return value;
  }

  #valueOf(node: Expression, scope: Scope): Value {
    switch (node.type) {
      case 'StringLiteral':
      case 'IntegerLiteral':
        return node.value;
      case 'Identifier':
        return CONSTANTS.has(node.value) ? CONSTANTS.get(node.value) : scope.get(node.value);
      case 'MemberExpression':
        return this.#member(node.object, node.property, node.computed, scope);
      case 'CallExpression':
        return this.#call(node, scope);
      case 'FilterExpression':
        return this.#filter(node.filter, this.#evaluate(node.operand, scope), scope);
      case 'BinaryExpression':
        return this.#binary(node.operator.value, node.left, node.right, scope);
      case 'UnaryExpression': {
        const value = this.#evaluate(node.argument, scope);
        return node.operator.value === 'not' ? !isTrue(value) : negative(node.operator.value, value);
      }
      case 'Ternary':
        return this.#evaluate(isTrue(this.#evaluate(node.condition, scope)) ? node.trueExpr : node.falseExpr, scope);
      case 'SelectExpression':
        // `a if b` without an else.
        return isTrue(this.#evaluate(node.test, scope)) ? this.#evaluate(node.lhs, scope) : undefined;
      case 'ArrayLiteral':
        return node.value.map((item) => this.#evaluate(item, scope));
      case 'TupleLiteral':
        return Tuple.from(node.value.map((item) => this.#evaluate(item, scope)));
      case 'ObjectLiteral':
        return dictOf(
          Array.from(node.value, ([key, value]) => [this.#evaluate(key, scope), this.#evaluate(value, scope)]),
        );
      case 'FloatLiteral':
        return binary('/', node.value, 1);
      default:
        return fail(`has a ${node.type} where a value belongs`);
    }
  }

  #binary(operator: string, left: Expression, right: Expression, scope: Scope): Value {
    const value = this.#evaluate(left, scope);
    if (operator === 'and') return isTrue(value) ? this.#evaluate(right, scope) : value;
    if (operator === 'or') return isTrue(value) ? value : this.#evaluate(right, scope);
    const other = this.#evaluate(right, scope);
    switch (operator) {
      case '==':
        return equals(value, other);
      case '!=':
        return !equals(value, other);
      case 'in':
      case 'not in':
        chargeFor(other);
        return contains(other, value) === (operator === 'in');
    }
    const result = binary(operator, value, other);
    if (Array.isArray(result)) charge(result.length);
    return result;
  }

  #member(objectNode: Expression, property: Expression, computed: boolean, scope: Scope): Value {
    const object = this.#evaluate(objectNode, scope);
    if (property.type === 'SliceExpression') return this.#slice(object, property, scope);
    const key = computed ? this.#evaluate(property, scope) : (property as { value: string | number }).value;
    if (object === undefined) fail(`looks up ${toText(key)} of an undefined value${nameOf(objectNode)}`);
    if (computed || typeof key === 'number') return this.#item(object, key);
    return this.#attributeOrItem(object, toText(key));
  }

  /** `object.name`: methods come before the keys of a dict. */
  #attributeOrItem(object: Value, name: string): Value {
    if (object === undefined) fail(`looks up ${name} of an undefined value`);
    if (object instanceof Attributes) return object.get(name);
    return methodOf(object, name) ?? (object instanceof Map ? object.get(name) : undefined);
  }

  /** `object[key]`: the keys of a dict come before its methods. */
  #item(object: Value, key: Value): Value {
    if (object === undefined) fail(`looks up ${toText(key)} of an undefined value`);
    if (object instanceof Map) {
      const found = keyOf(key);
      if (object.has(found)) return object.get(found);
    } else if (typeof key === 'number' || typeof key === 'boolean') {
      if (Array.isArray(object)) return object.at(Number(key));
      if (typeof object === 'string') return charactersOf(object).at(Number(key));
    }
    return typeof key === 'string' ? this.#attributeOrItem(object, key) : undefined;
  }

  #slice(object: Value, node: SliceNode, scope: Scope): Value {
    const bound = (part: Expression | undefined, what: string) => {
      const value = part ? this.#evaluate(part, scope) : undefined;
      return value == null ? undefined : integerOf(value, what);
    };
    const start = bound(node.start, 'the start of a slice');
    const stop = bound(node.stop, 'the end of a slice');
    const step = bound(node.step, 'the step of a slice') ?? 1;
    if (typeof object === 'string') return sliceText(object, start, stop, step);
    if (!Array.isArray(object)) return fail(`takes a slice of ${typeName(object)}`);
    charge(object.length);
    const part = sliced(object, start, stop, step);
    return object instanceof Tuple ? Tuple.from(part) : part;
  }

  #filter(filter: FilterNode, value: Value, scope: Scope): Value {
    if (filter.type === 'Identifier') return this.#applyFilter(filter.value, value, [], new Map());
    const [args, kwargs] = this.#arguments(filter, scope);
    return this.#applyFilter(filter.callee.type === 'Identifier' ? filter.callee.value : '', value, args, kwargs);
  }

  /** Filters named `is …` are tests; see the lexer. */
  #applyFilter(name: string, value: Value, args: Value[], kwargs: Kwargs): Value {
    const test = /^is (not )?(.*)$/.exec(name);
    if (test) return testOf(test[2])(value, args) === (test[1] === undefined);
    chargeFor(value);
    const result = filterOf(name)(value, args, kwargs, this.#lookup);
    chargeFor(result);
    return result;
  }

  #call(node: CallNode, scope: Scope, caller?: Callable): Value {
    const callee = this.#evaluate(node.callee, scope);
    const [args, kwargs] = this.#arguments(node, scope);
    if (caller) kwargs.set('caller', caller);
    if (!(callee instanceof Callable))
      return fail(`calls ${typeName(callee)}${nameOf(node.callee)}, which is no function`);
    if (node.callee.type === 'MemberExpression') chargeFor(this.#evaluate(node.callee.object, scope));
    const result = callee.call(args, kwargs);
    chargeFor(result);
    return result;
  }

  #arguments({ args }: CallNode, scope: Scope): [Value[], Map<string, Value>] {
    const positional: Value[] = [];
    const kwargs = new Map<string, Value>();
    for (const arg of args) {
      if (arg.type === 'KeywordArgumentExpression') {
        kwargs.set(arg.key.value, this.#evaluate(arg.value, scope));
      } else if (arg.type === 'KeywordSpreadExpression') {
        const dict = this.#evaluate(arg.argument, scope);
        if (!(dict instanceof Map)) fail(`** is given ${typeName(dict)}; expected a dict`);
        for (const [key, value] of dict) kwargs.set(toText(key), value);
      } else if (arg.type === 'SpreadExpression') {
        for (const item of iterate(this.#evaluate(arg.argument, scope))) positional.push(item);
      } else {
        positional.push(this.#evaluate(arg, scope));
      }
    }
    return [positional, kwargs];
  }
}

/** Counts the work of walking over a whole value. */
function chargeFor(value: Value): void {
  if (typeof value === 'string') charge(value.length / TEXT_PER_UNIT);
  else if (Array.isArray(value)) charge(value.length);
  else if (value instanceof Map) charge(value.size);
}

function isScope(node: Expression): node is Extract<Expression, { type: 'FilterExpression' }> {
  return node.type === 'FilterExpression' && node.filter.type === 'Identifier' && node.filter.value === SCOPE_FILTER;
}

const CONSTANTS: ReadonlyMap<string, Value> = new Map<string, Value>([
  ['true', true],
  ['True', true],
  ['false', false],
  ['False', false],
  ['none', null],
  ['None', null],
]);

/** The code points of a text; a text without pairs of surrogates is an array of them as it is. */
function charactersOf(text: string): string | string[] {
  charge(text.length / TEXT_PER_UNIT);
  if (!/[\uD800-\uDFFF]/.test(text)) return text;
  charge(text.length);
  return Array.from(text);
}

function sliceText(text: string, start: number | undefined, stop: number | undefined, step: number): string {
  const characters = charactersOf(text);
  if (typeof characters !== 'string') return sliced(characters, start, stop, step).join('');
  if (step === 1) return characters.slice(start ?? 0, stop ?? characters.length);
  charge(characters.length);
  return sliced(Array.from(characters), start, stop, step).join('');
}

/** Python's slices: bounds may be negative or beyond the ends, and the step may go backwards. */
function sliced<T>(items: readonly T[], start: number | undefined, stop: number | undefined, step: number): T[] {
  if (step === 0) fail('takes a slice with the step 0');
  const { length } = items;
  const clamp = (bound: number, least: number, most: number) =>
    Math.min(most, Math.max(least, bound < 0 ? bound + length : bound));
  if (step === 1) return items.slice(clamp(start ?? 0, 0, length), clamp(stop ?? length, 0, length));
  const taken: T[] = [];
  if (step > 0) {
    const end = clamp(stop ?? length, 0, length);
    for (let at = clamp(start ?? 0, 0, length); at < end; at += step) taken.push(items[at]);
  } else {
    const end = stop === undefined ? -1 : clamp(stop, -1, length - 1);
    for (let at = start === undefined ? length - 1 : clamp(start, -1, length - 1); at > end; at += step) {
      taken.push(items[at]);
    }
  }
  return taken;
}

/** For messages: ` (name)` of a variable or attribute. */
function nameOf(node: Expression): string {
  if (node.type === 'Identifier') return ` (${node.value})`;
  const isAttribute = node.type === 'MemberExpression' && node.property.type === 'Identifier' && !node.computed;
  return isAttribute ? ` (${(node.property as { value: string }).value})` : '';
}
