/** Which of the kernel's IPsec policies are ours, as `ip xfrm` prints them. */
import { expect, test } from 'vitest';
import { devicesOf } from '../../../src/host/forward-policy.ts';

const ours = (device: string): string =>
  `src 0.0.0.0/0 dst 0.0.0.0/0 dev ${device} \n\tdir fwd priority 4294967295 ptype main \n`;

test.each<[what: string, printed: string, devices: string[]]>([
  ['none', '', []],
  ['one', ours('fw0'), ['fw0']],
  ['another one of a device that is gone', ours('if7') + ours('fw0'), ['if7', 'fw0']],
  ['that of all devices', ours('fw0').replace('dev fw0 ', ''), []],
  ['that of some addresses', ours('fw0').replace('0.0.0.0/0', '10.0.0.0/24'), []],
  ['one that blocks', ours('fw0').replace('fwd', 'fwd action block'), []],
  ['one that encrypts', `${ours('fw0')}\ttmpl src 192.0.2.1 dst 192.0.2.2\n\t\tproto esp\n`, []],
  ['one of marked packets', `${ours('fw0')}\tmark 0x1/0xff \n`, []],
])('of %s', (_, printed, devices) => {
  expect(devicesOf(printed)).toEqual(devices);
});
