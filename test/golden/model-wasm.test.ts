import { caseNames } from './fixtures.ts';
import { describeCases } from './run-case.ts';

describeCases('wasm', caseNames);
