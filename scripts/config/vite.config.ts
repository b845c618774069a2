import { readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { brotliCompress, constants, gzip } from 'node:zlib';
import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';
import type { Plugin } from 'vite';

/**
 * The panel: src/panel into dist/panel, with hashed names under assets/. Each asset is compressed here, once and as far as it
 * goes, so that the firewall's process only reads files. `src/control/api/panel.ts` serves it, and puts a nonce where the
 * placeholder is.
 */
const root = new URL('../..', import.meta.url).pathname;
const output = join(root, 'dist/panel');

const brotli = promisify(brotliCompress);
const gzipped = promisify(gzip);

function precompress(): Plugin {
  return {
    name: 'precompress',
    apply: 'build',
    async closeBundle() {
      const assets = join(output, 'assets');
      for (const name of await readdir(assets)) {
        const file = join(assets, name);
        const bytes = await readFile(file);
        const best = { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } };
        await writeFile(`${file}.br`, await brotli(bytes, best));
        await writeFile(`${file}.gz`, await gzipped(bytes, { level: 9 }));
      }
    },
  };
}

/** What is bundled is copied: dist/panel-licences.txt has a line for each package, then, behind an empty one, their licences. */
function licences(): Plugin {
  return {
    name: 'licences',
    apply: 'build',
    async generateBundle() {
      const own = [...this.getModuleIds()].map((id) => packageFolder.exec(id)?.[0]);
      const folders = [...new Set(own.filter((folder) => folder !== undefined))].sort();
      const packages = await Promise.all(folders.map(readLicence));
      const lines = packages.map(({ line }) => line);
      const texts = packages.map(({ line, text }) => `${line}\n\n${text.trim()}\n`);
      await writeFile(`${output}-licences.txt`, `${lines.join('\n')}\n\n${texts.join('\n')}`);
    },
  };
}

const packageFolder = /^\/.*\/node_modules\/(?:@[^/]+\/)?[^/]+/;

async function readLicence(folder: string): Promise<{ line: string; text: string }> {
  const text = await readFile(join(folder, 'package.json'), 'utf8');
  const { name, version, license } = JSON.parse(text) as Record<string, string>;
  const file = (await readdir(folder)).find((each) => /^licen[cs]e/i.test(each));
  return {
    line: `${name} ${version} ${license}`,
    text: file === undefined ? '' : await readFile(join(folder, file), 'utf8'),
  };
}

export default defineConfig({
  root: join(root, 'src/panel'),
  base: '/',
  plugins: [react(), precompress(), licences()],
  html: { cspNonce: '{{nonce}}' },
  build: {
    outDir: output,
    emptyOutDir: true,
    target: 'es2022',
    // Those that know light-dark(): what would be put in its place elsewhere does not see the scheme that Mantine sets.
    cssTarget: ['chrome123', 'edge123', 'firefox120', 'safari17.5'],
    // Every file is one of ours, and a data: URL would be one exception more in the policy.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    chunkSizeWarningLimit: 1000,
  },
  server: { proxy: { '/v1': 'http://127.0.0.1:8740', '/openapi.json': 'http://127.0.0.1:8740' } },
});
