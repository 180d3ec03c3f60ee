/** The example page in a real Chromium: bundled, served, asked. */

import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import chromiumPackage from '@sparticuz/chromium';
import { type Browser, chromium, type Page } from 'playwright-core';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { build } from 'vite';

const test = suite('browser page');
const root = fileURLToPath(new URL('../../examples/browser/', import.meta.url));
const out = mkdtempSync(join(tmpdir(), 'quern-page-'));
const ARGS = [
  '--no-sandbox',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  // WebGPU on the software adapter that Chromium brings.
  '--enable-unsafe-webgpu',
  '--use-webgpu-adapter=swiftshader',
  '--enable-features=Vulkan',
  '--use-vulkan=swiftshader',
];
const TYPES: Record<string, string> = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css' };
const ISOLATED = { 'Cross-Origin-Opener-Policy': 'same-origin', 'Cross-Origin-Embedder-Policy': 'require-corp' };

let browser: Browser;
let requests: string[] = [];
const servers: Server[] = [];

/** Serves the built page; returns its address. */
function serve(headers: Record<string, string>): Promise<string> {
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url ?? '/', 'http://page');
    requests.push(`${request.method} ${pathname}`);
    const file = pathname === '/' ? 'index.html' : pathname.slice(1);
    try {
      const body = readFileSync(join(out, file));
      response.writeHead(200, {
        ...headers,
        'Content-Type': TYPES[extname(file)] ?? 'application/octet-stream',
        'Content-Length': body.length,
      });
      response.end(request.method === 'HEAD' ? undefined : body);
    } catch {
      response.writeHead(404, headers).end();
    }
  });
  servers.push(server);
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`));
  });
}

/** Opens the page, asks for the capital of France, and gives the answer and what the page says it ran on. */
async function ask(page: Page, address: string): Promise<{ answer: string; status: string }> {
  await page.goto(address);
  await page.waitForSelector('#question:enabled, .error', { timeout: 30_000 });
  assert.is(await page.locator('.error').count(), 0, await textOf(page, 'main'));
  await page.fill('#question', 'What is the capital of France?');
  await page.click('#send');
  await page.waitForFunction(() => document.getElementById('status')?.textContent?.includes('tokens/s'), undefined, {
    timeout: 30_000,
  });
  return { answer: await textOf(page, '.assistant'), status: await textOf(page, '#status') };
}

/** Does something in the page as soon as the first words of an answer are there. */
async function whenWriting(page: Page, action: () => unknown): Promise<void> {
  await page.evaluate(`new MutationObserver((_, observer) => {
    if (!document.querySelector('.writing:not(:empty)')) return;
    observer.disconnect();
    (${action})();
  }).observe(document.body, { childList: true, subtree: true })`);
}

async function textOf(page: Page, selector: string): Promise<string> {
  return (await page.locator(selector).textContent()) ?? '';
}

test.before(async () => {
  await build({ root, logLevel: 'error', build: { outDir: out }, configFile: join(root, 'vite.config.ts') });
  // The package brings a Chromium for Linux on x86-64; elsewhere the variable names one.
  const executablePath = process.env.QUERN_CHROMIUM ?? (await chromiumPackage.executablePath());
  browser = await chromium.launch({ executablePath, args: ARGS });
});
test.after(async () => {
  await browser?.close();
  for (const server of servers) server.close();
  rmSync(out, { recursive: true, force: true });
});

test('the bundle imports nothing of Node', () => {
  for (const file of readdirSync(join(out, 'assets')).filter((name) => name.endsWith('.js'))) {
    const code = readFileSync(join(out, 'assets', file), 'utf8');
    assert.not.match(code, /(from|import)\s*\(?\s*["'`]node:/);
    assert.not.match(code, /__vite-browser-external/);
  }
});

test('it answers on WASM threads, and takes the weights from its cache the next time', async () => {
  const address = await serve(ISOLATED);
  const context = await browser.newContext();
  const page = await context.newPage();
  const first = await ask(page, `${address}?device=wasm`);
  assert.match(first.answer, /Paris/);
  assert.match(first.status, /tiny-chat on wasm \((?:2|3|4) threads/);
  if (process.env.QUERN_SCREENSHOT) await page.screenshot({ path: process.env.QUERN_SCREENSHOT });

  requests = [];
  await page.reload();
  assert.match((await ask(page, `${address}?device=wasm`)).answer, /Paris/);
  assert.ok(requests.includes('HEAD /tiny-chat/model.safetensors'));
  assert.not.ok(requests.includes('GET /tiny-chat/model.safetensors'));
  await context.close();
});

test('without the isolation headers it answers on one thread', async () => {
  const context = await browser.newContext();
  const { answer, status } = await ask(await context.newPage(), `${await serve({})}?device=wasm`);
  assert.match(answer, /Paris/);
  assert.match(status, /wasm \(1 thread/);
  await context.close();
});

test('it answers on WebGPU, and again after the device was lost', async () => {
  const context = await browser.newContext();
  const page = await context.newPage();
  await page.addInitScript(() => {
    const { requestDevice } = GPUAdapter.prototype;
    GPUAdapter.prototype.requestDevice = async function (...args) {
      const device = await requestDevice.apply(this, args);
      Object.assign(globalThis, { openedDevice: device });
      return device;
    };
  });
  const { answer, status } = await ask(page, `${await serve(ISOLATED)}?device=webgpu`);
  assert.match(answer, /Paris/);
  assert.match(status, /tiny-chat on webgpu/);

  await page.click('#fresh');
  await whenWriting(page, () => (globalThis as unknown as { openedDevice: GPUDevice }).openedDevice.destroy());
  await page.click('#ideas button:text("story")');
  await page.waitForSelector('.error');
  assert.match(await textOf(page, '.error'), /was lost/);
  await page.fill('#question', 'What is the capital of Norway?');
  await page.keyboard.press('Enter');
  await page.waitForFunction(() => document.querySelector('main')?.textContent?.includes('Oslo'), undefined, {
    timeout: 30_000,
  });
  await context.close();
});

test('an answer is stopped by its button or by Escape, and the conversation goes on or begins anew', async () => {
  const context = await browser.newContext({ viewport: { width: 360, height: 640 }, colorScheme: 'dark' });
  const page = await context.newPage();
  await page.goto(`${await serve(ISOLATED)}?device=wasm`);
  const stops = [
    () => document.getElementById('send')?.click(),
    () => document.dispatchEvent(new KeyboardEvent('keydown', { key: 'Escape' })),
  ];
  await page.waitForSelector('#question:enabled', { timeout: 30_000 });
  for (const stop of stops) {
    await whenWriting(page, stop);
    await page.click('#ideas button:text("story")');
    await page.waitForSelector('.assistant:not(.writing):not(:empty)');
    assert.is(await page.locator('.error').count(), 0);
    const written = await textOf(page, '.assistant');
    assert.ok(written.length < 80, written);
    await page.fill('#question', 'What is the capital of France?');
    await page.keyboard.press('Enter');
    await page.waitForFunction(() => document.querySelector('main')?.textContent?.includes('Paris'));
    assert.is(await page.locator('.assistant').first().textContent(), written);
    if (process.env.QUERN_SCREENSHOT) await page.screenshot({ path: `${process.env.QUERN_SCREENSHOT}.narrow.png` });
    await page.click('#fresh');
    assert.is(await textOf(page, 'main'), '');
  }
  const width = await page.evaluate(() => document.documentElement.scrollWidth);
  assert.ok(width <= 360, `the page is ${width} pixels wide`);
  await context.close();
});

test('a model that is not there is said in one line', async () => {
  const context = await browser.newContext();
  const page = await context.newPage();
  await page.goto(`${await serve(ISOLATED)}?model=./nowhere/`);
  await page.waitForSelector('.error', { timeout: 30_000 });
  assert.match(await textOf(page, '.error'), /nowhere\/: no config\.json there/);
  await context.close();
});

test.run();
