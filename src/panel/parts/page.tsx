/**
 * The frame of every page: title, what it is about, actions. It gives the tab its title; on navigation it moves the focus to
 * the heading, so that a screen reader says where one is, and the keyboard goes on from there.
 */
import { Box, Group, Stack, Text, Title } from '@mantine/core';
import { useEffect, useRef } from 'react';
import type { ReactNode } from 'react';

/** The page that the browser has loaded keeps the browser's own idea of the focus. */
const navigation = { isFirst: true };

export interface PageProps {
  readonly title: string;
  readonly about?: ReactNode;
  /** Above the title: the way back. */
  readonly back?: ReactNode;
  readonly actions?: ReactNode;
  readonly children: ReactNode;
}

export function Page({ title, about, back, actions, children }: PageProps): ReactNode {
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    document.title = `${title} · tunwall`;
  }, [title]);
  useEffect(() => {
    if (!navigation.isFirst) heading.current?.focus({ preventScroll: true });
    navigation.isFirst = false;
  }, []);
  return (
    <Stack gap="lg">
      <Box>
        {back}
        <Group justify="space-between" align="flex-start" gap="sm">
          <Box miw={0}>
            <Title order={1} size="h2" ref={heading} tabIndex={-1} className="page-title">
              {title}
            </Title>
            {about !== undefined && (
              <Text component="div" c="dimmed" size="sm" mt={2} maw={720}>
                {about}
              </Text>
            )}
          </Box>
          {actions !== undefined && <Group gap="xs">{actions}</Group>}
        </Group>
      </Box>
      {children}
    </Stack>
  );
}
