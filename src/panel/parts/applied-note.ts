/** Tells, after a change that stays, whether packets are judged by it already. */
import { notifications } from '@mantine/notifications';
import type { Applied } from '../data/types.ts';

export function noteApplied(what: string, { applied, epoch, pending, unconfirmed }: Applied): void {
  // It is asked about on every page, until it is answered.
  if (unconfirmed !== undefined) return;
  notifications.show(
    applied
      ? { color: 'teal', title: what, message: `Applied: epoch ${epoch} is in force.` }
      : {
          color: 'yellow',
          title: what,
          message: `Saved, not applied yet: ${pending ?? 'the firewall is busy'}`,
          autoClose: 15_000,
        },
  );
}
