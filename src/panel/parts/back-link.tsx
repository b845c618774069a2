/** The way back, above a title. */
import { Anchor } from '@mantine/core';
import { IconArrowLeft } from '@tabler/icons-react';
import type { ReactNode } from 'react';
import { Link } from 'wouter';

export interface BackLinkProps {
  readonly path: string;
  readonly title: string;
}

export function BackLink({ path, title }: BackLinkProps): ReactNode {
  return (
    <Anchor component={Link} href={path} size="sm" className="back-link">
      <IconArrowLeft size={14} aria-hidden /> {title}
    </Anchor>
  );
}
