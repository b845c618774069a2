/**
 * node bundle.js DIRECTORY: copies the packages of npm that the program runs with into DIRECTORY/node_modules, as package-lock.json
 * has them, without what never runs: types, maps, pages, tests, commands. Prints each with its version and licence.
 */
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { dirname, join, sep } from 'node:path';

const root = join(import.meta.dirname, '../..');
const [, , target] = process.argv;
const { packages } = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'));

/** Headers for C: the addon is built already. */
const unused = ['node_modules/node-api-headers'];
const wanted = Object.entries(packages).filter(
  ([path, { dev, devOptional, optional, peer }]) =>
    path !== '' && !dev && !devOptional && !optional && !peer && !unused.includes(path),
);

const folders = /^(test|tests|docs|spec|examples?|benchmarks?|integration|scripts|bin)$/;
const files = /(\.([cm]?ts|map|sh|html)|(?<!licen[cs]e)\.(md|markdown))$/i;

/** A package without those that lie in it, which have entries of their own. */
function copyPackage(path) {
  const own = join(root, path);
  for (const entry of readdirSync(own, { withFileTypes: true, recursive: true })) {
    const from = join(entry.parentPath ?? entry.path, entry.name);
    const inside = from.slice(own.length + 1);
    const [first] = inside.split(sep);
    if (!entry.isFile() || folders.test(first) || files.test(inside)) continue;
    if (/(^|\/)(\.|node_modules\/)/.test(inside)) continue;
    const to = join(target, path, inside);
    mkdirSync(dirname(to), { recursive: true });
    writeFileSync(to, withoutInterpreter(readFileSync(from)));
  }
}

/** Nobody runs a file of a package as a command. */
function withoutInterpreter(bytes) {
  return bytes[0] === 0x23 && bytes[1] === 0x21 ? bytes.subarray(bytes.indexOf('\n') + 1) : bytes;
}

for (const [path, { version, license }] of wanted) {
  copyPackage(path);
  console.log(` ${path.replace('node_modules/', '')} ${version} ${license}`);
}
