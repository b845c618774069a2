/**
 * The cores of the programs. Each subject has one core for itself. The traffic tools share the other one.
 *
 * What a packet costs lies on both: the sender's core carries it through the client's veth and the gateway's routing up to the
 * TUN's ring (softirq in the sender's context); the subject's core reads, judges and writes it, and the write carries it on into
 * the server's socket.
 */
export const toolsCore = 0;
export const subjectCore = 1;

/** `command`, on one core. */
export function pinned(core: number, command: readonly string[]): string[] {
  return ['taskset', '-c', String(core), ...command];
}
