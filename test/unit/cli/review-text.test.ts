/** What a change would do, as the command line says it: before the difference of the files, what it opens, and whose flows end. */
import { expect, it } from 'vitest';
import type { ReviewView } from '../../../src/cli/api-types.ts';
import { createOutput } from '../../../src/cli/output.ts';
import { printReview } from '../../../src/cli/review-text.ts';
import { flow } from '../../support/live-data.ts';

const review: ReviewView = {
  revision: '1',
  changed: [{ kind: 'template', name: 'web' }],
  diff: '--- templates/web.yaml\n+++ templates/web.yaml\n',
  ...{ servers: ['web-1'], affected: [{ server: 'web-1', reasons: ['template web changes'] }] },
  ...{ rules: [], warnings: ['web.yaml: is wide'] },
  opens: ['web-1: TCP, port 8443, from the whole Internet'],
  closes: ['web-1: TCP, port 22, from 10.0.0.0/8'],
};

function said(more: Partial<ReviewView>): { out: string[]; err: string } {
  let [out, err] = ['', ''];
  const output = createOutput(
    { write: (text) => (out += text) },
    { write: (text) => (err += text) },
    {},
  );
  printReview({ ...review, ...more }, output);
  return { out: out.trimEnd().split('\n'), err };
}

const opened = [
  'opens web-1: TCP, port 8443, from the whole Internet',
  'closes web-1: TCP, port 22, from 10.0.0.0/8',
  'concerns web-1: template web changes',
];
const difference = ['--- templates/web.yaml', '+++ templates/web.yaml'];

it('says first what becomes possible, then which flows end, then what differs', () => {
  const largestFlowsCut = [flow('a', { source: '10.0.0.7', destinationPort: 22 }), flow('b')];
  const { out, err } = said({ flowsCut: 3, largestFlowsCut, cutsClient: true });
  expect(out.slice(0, 4)).toEqual([...opened, 'cuts 3 live flows; the largest 2:']);
  expect(out.slice(4, 7)).toEqual([
    expect.stringMatching(/^ {2}protocol +from +to +bytes +age$/),
    expect.stringMatching(/^ {2}tcp +10\.0\.0\.7:\d+ +\S+:22 \(web-1\) .* 4 min 3 s$/),
    expect.stringMatching(/^ {2}tcp /),
  ]);
  expect(out.slice(7)).toEqual(difference);
  expect(err).toBe(
    'warning: one of them is yours: make the change with --confirm 60s\nwarning: web.yaml: is wide\n',
  );
});

it('says nothing of flows where no firewall runs, and that none ends', () => {
  expect(said({}).out).toEqual([...opened, ...difference]);
  const none = { flowsCut: 0, largestFlowsCut: [], cutsClient: false };
  expect(said(none).out).toEqual([...opened, 'cuts 0 live flows', ...difference]);
});
