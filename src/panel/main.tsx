/**
 * The panel begins here.
 *
 * The policy for scripts and styles is strict (src/control/api/panel.ts): inline <style> elements need the nonce that came with this
 * document. Mantine makes some (its variables, layouts by breakpoint) and asks for it; the library that locks scrolling behind
 * dialogs looks for webpack's variable of that name.
 */
import '@mantine/core/styles.css';
import '@mantine/notifications/styles.css';
import './app/app.css';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { App } from './app/app.tsx';

declare global {
  interface Window {
    __webpack_nonce__?: string;
  }
}

const nonce = document.querySelector<HTMLMetaElement>('meta[property="csp-nonce"]')?.nonce ?? '';
window.__webpack_nonce__ = nonce;

createRoot(document.getElementById('root')!).render(
  <StrictMode>
    <App nonce={nonce} />
  </StrictMode>,
);
