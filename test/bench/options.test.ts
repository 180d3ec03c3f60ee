import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { INTEGER, listOf, oneOf, parseOptions, SWITCH, string, usageText } from '../../bench/support/options.ts';

const test = suite('options of a bench');

const options = {
  device: { kind: oneOf('wasm', 'webgpu'), fallback: 'wasm', help: 'where it runs' },
  rows: { kind: listOf(INTEGER), help: 'row counts' },
  set: { kind: string('NAME=VALUE'), fallback: '', repeated: true, help: 'variants' },
  tune: { kind: SWITCH, help: 'tries tiles' },
} as const;

const parse = (...args: string[]) => parseOptions('kernels', options, args);

test('what is not given is what the description says, or undefined, or off', () => {
  assert.equal(parse(), { device: 'wasm', rows: undefined, set: [''], tune: false });
});

test('values are of their kinds; a repeated option keeps all, another the last', () => {
  const args = ['--device', 'wasm', '--device=webgpu', '--rows', '1,64', '--set', 'a=1', '--set', 'b=2', '--tune'];
  assert.equal(parse(...args), { device: 'webgpu', rows: [1, 64], set: ['a=1', 'b=2'], tune: true });
});

const WRONG: readonly [args: string[], message: RegExp][] = [
  [['--bogus'], /^bench kernels: Unknown option '--bogus'; there are --device, --rows, --set, --tune$/],
  [['loose'], /^bench kernels: Unexpected argument 'loose'; there are --device, --rows, --set, --tune$/],
  [['--rows'], /'--rows <value>' argument missing; there are /],
  [['--rows', '1,x'], /^bench kernels: --rows is "1,x"; expected an integer$/],
  [['--device', 'gpu'], /^bench kernels: --device is "gpu"; expected one of wasm, webgpu$/],
];

for (const [args, message] of WRONG) {
  test(`${args.join(' ')} is refused in one line`, () => {
    assert.throws(
      () => parse(...args),
      (error: Error) => message.test(error.message) && !error.message.includes('\n'),
    );
  });
}

test('the help has every option with its choices and its default', () => {
  const help = usageText('kernels', { about: 'Kernels.', examples: [['--tune', 'tunes']], options });
  assert.match(help, /^Usage: quern bench kernels \[OPTIONS\]\n\nKernels\.\n/);
  assert.match(help, /^ {2}--device NAME +where it runs: wasm, webgpu \(default wasm\)$/m);
  assert.match(help, /^ {2}--set NAME=VALUE +variants \(may be given several times\)$/m);
  assert.match(help, /^ {2}--tune +tries tiles$/m);
  assert.match(help, /^ {2}quern bench kernels --tune +tunes$/m);
});

test.run();
