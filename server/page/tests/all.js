import './format.test.js';
import './stream.test.js';
import './filters.test.js';
import './routes.test.js';
import './pages.test.js';
import './events.test.js';
import './alerts.test.js';
import './series.test.js';
