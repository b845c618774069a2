/** The subjects that are compared. tunwall is first, as in the figures. */
import { kernel } from './kernel.ts';
import { nullRelay } from './null-relay.ts';
import { openVswitch, openVswitchTso } from './open-vswitch.ts';
import type { SubjectKind } from './subject.ts';
import { tunwall } from './tunwall.ts';

export const everyKind: readonly SubjectKind[] = [
  tunwall,
  nullRelay,
  kernel,
  openVswitch,
  openVswitchTso,
];
