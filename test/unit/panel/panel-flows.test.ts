/** What the page of flows offers is what the firewall knows. */
import { expect, it } from 'vitest';
import { flowStates } from '../../../src/control/api/live-words.ts';
import { flowStates as offered } from '../../../src/panel/data/flows.ts';

it('every state of a flow can be chosen', () => {
  expect(offered).toEqual(flowStates);
});
