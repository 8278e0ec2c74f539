import { mark, page } from './page.ts'
import { app } from './script-app.ts'
import { elements } from './script-elements.ts'
import { incidents } from './script-incidents.ts'
import { principals } from './script-principals.ts'
import { session } from './script-session.ts'
import { settings } from './script-settings.ts'
import { style } from './style.ts'

/** What is served at a path. */
export interface DashboardFile {
  readonly type: string
  readonly content: string
}

const script = `(function () {\n'use strict'\n${[elements, session, incidents, principals, settings, app].join('')}})()\n`

/**
 * The dashboard: one page, one style sheet, one script, one picture. They are text in this module, so that
 * they are wherever the compiled program is and nothing has to be copied or found at run time.
 */
export const dashboardFiles: Readonly<Record<string, DashboardFile>> = {
  '/': { type: 'text/html; charset=utf-8', content: page },
  '/dashboard.css': { type: 'text/css; charset=utf-8', content: style },
  '/dashboard.js': { type: 'text/javascript; charset=utf-8', content: script },
  '/dashboard.svg': { type: 'image/svg+xml', content: mark },
}
