/**
 * Serves and builds the page: `npx vite examples/browser`, `npx vite build examples/browser`.
 *
 * The two headers let the page share memory between threads. Without them (QUERN_ISOLATED=0) it runs on one.
 */

import { copyFileSync, createReadStream, mkdirSync, readdirSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { defineConfig, type Plugin } from 'vite';

const model = fileURLToPath(new URL('../../models/tiny-chat/', import.meta.url));
const modelFiles = readdirSync(model).filter((file) => /\.(json|jinja|safetensors)$/.test(file));
const isolated = { 'Cross-Origin-Opener-Policy': 'same-origin', 'Cross-Origin-Embedder-Policy': 'require-corp' };

/** The embedded model at /tiny-chat/. */
function embeddedModel(): Plugin {
  let outDir = '';
  return {
    name: 'embedded-model',
    configResolved(config) {
      outDir = `${config.root}/${config.build.outDir}`;
      if (config.build.outDir.startsWith('/')) outDir = config.build.outDir;
    },
    configureServer(server) {
      server.middlewares.use('/tiny-chat/', (request, response, next) => {
        const file = modelFiles.find((name) => request.url === `/${name}`);
        if (!file) return next();
        response.setHeader('Content-Length', statSync(model + file).size);
        if (request.method === 'HEAD') return response.end();
        return createReadStream(model + file).pipe(response);
      });
    },
    closeBundle() {
      mkdirSync(`${outDir}/tiny-chat`, { recursive: true });
      for (const file of modelFiles) copyFileSync(model + file, `${outDir}/tiny-chat/${file}`);
    },
  };
}

export default defineConfig({
  plugins: [embeddedModel()],
  resolve: { alias: { quern: fileURLToPath(new URL('../../engine/index.ts', import.meta.url)) } },
  server: { headers: process.env.QUERN_ISOLATED === '0' ? {} : isolated },
  build: { target: 'es2023', emptyOutDir: true },
});
