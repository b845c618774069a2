/**
 * The command behind scripts/key-times: how long a key takes in the rule editor of a firewall with many rules, from the press until
 * the picture has changed (Event Timing in Chromium, which counts in steps of 8 ms).
 *
 * It prints numbers and judges nothing: they are of this machine and its load.
 */
import { loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import type { Page } from 'playwright-core';
import { PanelLab, editRule, obstacle } from './support/panel-lab.ts';

const usage = `Usage: scripts/key-times [--rules NUMBER]

Types into each field of a rule, in a firewall with 200 rules and 1,000 servers, and prints how long a key
takes in Chromium. Needs root, and \`npm run build\` before.

  --rules NUMBER   how many rules (default: 200)
  --help           this text`;

interface KeyTime {
  readonly wholeMs: number;
  readonly scriptMs: number;
}

/** The least threshold is 16 ms: events that take less are not reported. A key is two events, keydown and input. */
const observe = `window.keyTimes = [];
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) {
    if (entry.name !== 'keydown' && entry.name !== 'input') continue;
    const scriptMs = entry.processingEnd - entry.processingStart;
    window.keyTimes.push({ wholeMs: entry.duration, scriptMs });
  }
}).observe({ type: 'event', durationThreshold: 16 });`;

const text = '10.0.0.1, 10.0.0.2, 192.0.2.0/24, 198.51.100.7';

async function typeInto(page: Page, label: string): Promise<readonly KeyTime[]> {
  const rule = page.getByRole('group', { name: 'Inbound rule 100', exact: true });
  const field = rule.getByLabel(label);
  await field.fill('');
  await page.evaluate('window.keyTimes = []');
  await field.pressSequentially(text, { delay: 60 });
  // The last picture is told a moment after it was drawn.
  await page.waitForTimeout(1000);
  return await page.evaluate<readonly KeyTime[]>('window.keyTimes');
}

function told(label: string, times: readonly KeyTime[]): string {
  const sorted = (key: keyof KeyTime): number[] =>
    times.map((each) => each[key]).sort((a, b) => a - b);
  const at = (all: readonly number[], part: number): string =>
    (all[Math.floor((all.length - 1) * part)] ?? 0).toFixed(0).padStart(5);
  const [whole, script] = [sorted('wholeMs'), sorted('scriptMs')];
  const numbers = [at(whole, 0.5), at(whole, 0.95), at(whole, 1), at(script, 0.5), at(script, 1)];
  return label.padEnd(10) + String(times.length).padStart(6) + numbers.join('');
}

function rulesAsked(): number {
  const { values } = parseArgs({
    options: {
      rules: { type: 'string', default: '200' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    console.log(usage);
    process.exit(0);
  }
  const count = Number(values.rules);
  if (!Number.isInteger(count) || count < 100 || count > 1000) {
    console.error(`--rules: expected a number from 100 to 1000\n\n${usage}`);
    process.exit(2);
  }
  return count;
}

const rules = rulesAsked();
if (obstacle !== undefined) {
  console.error(`no key can be pressed: ${obstacle}`);
  process.exit(1);
}
const panel = await PanelLab.create({
  templates: {
    many: {
      inbound: Array.from({ length: rules }, (_, index) => ({
        ...{ protocol: 'tcp', ports: [1000 + index], sources: ['10.0.0.0/8', 'label:role=app'] },
      })),
    },
  },
  servers: Array.from({ length: 1000 }, (_, index) => ({
    name: `app-${index}`,
    addresses: [`10.1.${index >> 8}.${index & 255}`],
    templates: ['many'],
    labels: { role: 'app' },
  })),
});
try {
  const page = await panel.openAs('owner', '/firewalls/many');
  await editRule(page, 100);
  await page.evaluate(observe);
  console.log(
    `${rules} rules, load ${loadavg()[0]!.toFixed(1)}; ms from a key to the picture, and of it in scripts`,
  );
  console.log(`field       slow  p50  p95  max  p50  max`);
  for (const label of ['Ports', 'Sources', 'Comment']) {
    console.log(told(label, await typeInto(page, label)));
  }
  console.log(`slow: of ${2 * text.length} events, two a key, those that took 16 ms and more`);
} finally {
  await panel.close();
}
