import { caseNames } from './fixtures.ts';
import { describeCases } from './run-case.ts';

describeCases('reference', caseNames);
