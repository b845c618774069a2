/** Tells systemd how a service of `Type=notify` is (sd_notify(3)); does nothing elsewhere. */
import { runProgram } from './system.ts';

/**
 * By the program that comes with systemd: Node has no datagram sockets of the Unix kind. It is a child, so the unit says
 * `NotifyAccess=all`.
 *
 * @param ready the service does its work from now on
 * @param status a line for `systemctl status`
 */
export async function notifySystemd(ready: boolean, status: string): Promise<void> {
  if ((process.env['NOTIFY_SOCKET'] ?? '') === '') return;
  await runProgram('systemd-notify', [...(ready ? ['--ready'] : []), `--status=${status}`]);
}
