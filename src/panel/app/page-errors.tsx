/**
 * A page that cannot be shown. The usual reason is a gateway that was updated: the files of the page that the browser has are
 * gone, and a reload brings the new ones.
 */
import { Button } from '@mantine/core';
import { IconMoodSad } from '@tabler/icons-react';
import { Component } from 'react';
import type { ReactNode } from 'react';
import { Empty } from '../parts/states.tsx';

interface Props {
  readonly children: ReactNode;
}

export class PageErrors extends Component<Props, { readonly error: Error | undefined }> {
  override state: { readonly error: Error | undefined } = { error: undefined };

  static getDerivedStateFromError(error: Error): { error: Error } {
    return { error };
  }

  override render(): ReactNode {
    const { error } = this.state;
    if (error === undefined) return this.props.children;
    return (
      <Empty
        icon={<IconMoodSad size={36} aria-hidden />}
        title="This page cannot be shown"
        action={<Button onClick={() => window.location.reload()}>Reload</Button>}
      >
        {error.message}
      </Empty>
    );
  }
}
