import com.amazon.randomcutforest.RandomCutForest;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.Locale;

/**
 * Scores rows of numbers with a random cut forest (Guha, Mishra, Roy, Schrijvers 2016). Standard input: one
 * row of comma-separated numbers per line. Standard output: one anomaly score per line, given before the row
 * is learnt.
 */
public final class RandomCutForestScores {
    private static final int TREES = 50;
    private static final int SAMPLES = 256;
    private static final long SEED = 42;

    public static void main(String[] args) throws IOException {
        var in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.US_ASCII));
        var out = new PrintStream(System.out, false, StandardCharsets.US_ASCII);
        RandomCutForest forest = null;
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            String[] cells = line.split(",");
            float[] point = new float[cells.length];
            for (int i = 0; i < cells.length; i++) point[i] = Float.parseFloat(cells[i]);
            if (forest == null) {
                forest = RandomCutForest.builder()
                        .dimensions(point.length)
                        .numberOfTrees(TREES)
                        .sampleSize(SAMPLES)
                        .randomSeed(SEED)
                        .parallelExecutionEnabled(false)
                        .build();
            }
            out.println(String.format(Locale.ROOT, "%.9f", forest.getAnomalyScore(point)));
            forest.update(point);
        }
        out.flush();
    }
}
