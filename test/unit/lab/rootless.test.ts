import { expect, it } from 'vitest';
import { obstacleOf } from '../../../src/lab/rootless.ts';

const refused = 'unshare: unshare failed: Operation not permitted\n';

it.each([
  ['kernel.apparmor_restrict_unprivileged_userns', '1', '0'],
  ['kernel.unprivileged_userns_clone', '0', '1'],
  ['user.max_user_namespaces', '0', '10000'],
])('names the one remedy where %s=%s forbids it', (setting, forbids, allows) => {
  const settingOf = (name: string): string | undefined => (name === setting ? forbids : undefined);
  const asUser = Object.getOwnPropertyDescriptor(process, 'getuid')!;
  Object.defineProperty(process, 'getuid', { ...asUser, value: () => 1000 });
  try {
    expect(obstacleOf(refused, settingOf)).toMatchObject({
      message: `this machine forbids user namespaces to ordinary users (${setting}=${forbids})`,
      hint: `sudo sysctl -w ${setting}=${allows}, or run it with sudo`,
    });
  } finally {
    Object.defineProperty(process, 'getuid', asUser);
  }
});

it.each([
  [
    'sh: 3: cannot open /dev/net/tun: Permission denied\n',
    '/dev/net/tun cannot be opened',
    'sudo chmod 666 /dev/net/tun',
  ],
  [
    `first\n${refused}`,
    'namespaces cannot be made here: unshare: unshare failed: Operation not permitted',
    'in a container: start it with --privileged; else run it with sudo',
  ],
])('says what the system says where no setting forbids it', (said, message, hint) => {
  const allowed: Record<string, string> = {
    'kernel.unprivileged_userns_clone': '1',
    'user.max_user_namespaces': '96365',
  };
  expect(obstacleOf(said, (name) => allowed[name])).toMatchObject({ message, hint });
});
